"""Models that make one vector of a text: tokens in, vectors out."""

from pathlib import Path
from typing import Any

from dataset_assets.embeddings.model_files import find_weights
from dataset_assets.embeddings.pretrained import (
    check_weights,
    import_models,
    load_pretrained,
    readable,
)

_UNLIMITED = 1 << 30
#: Tensors that many published models lack, and that no vector depends on.
_UNUSED = ("pooler.", "decoder.")


class SentenceModel:
    """A model of sentence-transformers: its modules one after another."""

    pooling = "modules"

    def __init__(self, folder: Path) -> None:
        package = import_models("sentence_transformers", "sentence-transformers")
        for part in (folder, *(path for path in folder.iterdir() if path.is_dir())):
            check_weights(part)
        _check_tensors(folder)
        with readable(folder):
            self.module = package.SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, trust_remote_code=False
            ).eval()
        self.size = int(self.module.get_embedding_dimension())
        self.max_tokens = int(self.module.max_seq_length or _UNLIMITED)
        self.tokenizer_folder = _tokenizer_folder(folder)

    def vectors(self, ids: Any, mask: Any) -> Any:
        """Return (B, size) for tokens and mask (B, length)."""
        features = {"input_ids": ids, "attention_mask": mask}
        return self.module(features)["sentence_embedding"]


class TransformerModel:
    """A model of transformers, whose tokens are pooled here."""

    def __init__(self, folder: Path, pooling: str) -> None:
        transformers = import_models("transformers", "transformers")
        self.pooling = pooling
        self.module = load_pretrained(transformers.AutoModel, folder, _UNUSED)
        config = self.module.config
        self.size = int(config.hidden_size)
        self.max_tokens = int(getattr(config, "max_position_embeddings", None) or _UNLIMITED)
        self.tokenizer_folder = folder

    def vectors(self, ids: Any, mask: Any) -> Any:
        """Return (B, size) for tokens and mask (B, length)."""
        import torch

        hidden = self.module(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).float()
            return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        rows = torch.arange(len(mask), device=mask.device)
        places = mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)
        if self.pooling == "last":
            return hidden[rows, places.argmax(dim=1)]
        return hidden[rows, mask.argmax(dim=1)]


def _check_tensors(folder: Path) -> None:
    """Check that the transformer is complete: the package does not say what it fills at random.

    Raises:
        UnusableWeights: tensors are missing.
    """
    from transformers import AutoModel

    for place in (folder, *sorted(folder.glob("0_*"))):
        if (place / "config.json").is_file() and find_weights(place):
            load_pretrained(AutoModel, place, _UNUSED)


def _tokenizer_folder(folder: Path) -> Path:
    """Return where the tokenizer is: beside the modules, or in the folder of the first one."""
    names = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
    inside = sorted(path for path in folder.glob("0_*") if path.is_dir())
    for place in (folder, *inside):
        if any((place / name).is_file() for name in names):
            return place
    return folder
