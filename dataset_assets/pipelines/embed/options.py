"""Options of `embed`."""

from dataclasses import dataclass

from dataset_assets import checks, registry


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    """How the embeddings of a set are computed. None of it changes their values.

    Raises:
        ConfigurationError: a value is not valid.
    """

    batch_size: int = 32
    """Samples in one run of the model. Halved where the memory of a GPU does not suffice."""
    prepare_threads: int = 2
    """Threads that decode and preprocess, in each worker."""
    processes_count: int = 0
    """Worker processes, each with a model of its own. 0: one for each core, on a GPU one."""
    distributor: str = "multiprocessing"
    """`multiprocessing` or `serial`."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "prepare_threads"):
            checks.integer(name, getattr(self, name), low=1)
        checks.integer("processes_count", self.processes_count, low=0)
        registry.check("distributor", self.distributor)
