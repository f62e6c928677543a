"""Options that encoders with weights share."""

from dataclasses import dataclass

from dataset_assets import checks

#: Types that arrays of such an encoder may have.
STORED_TYPES = ("F32", "F16", "BF16")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model, where it runs, and what is kept of its results.

    Raises:
        ConfigurationError: a value is not valid.
    """

    model: str
    """A folder with a model, or the id of a repository on the Hub."""
    revision: str = "main"
    """Branch, tag or commit of the repository."""
    device: str = "auto"
    """A device of torch, such as `cpu` or `cuda:0`. `auto`: a GPU if there is one."""
    dtype: str = "F32"
    """What is stored: `F32`, `F16` or `BF16`. A GPU computes in bfloat16, a CPU in float32."""

    def __post_init__(self) -> None:
        checks.text("model", self.model)
        checks.text("revision", self.revision)
        checks.text("device", self.device)
        checks.one_of("dtype", self.dtype, STORED_TYPES)
