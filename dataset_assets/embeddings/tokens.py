"""Captions become tokens, one caption at a time, and batches of them are padded."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.embeddings.pretrained import readable
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

Tokens = NDArray[np.int64]


class Tokenizer:
    """A tokenizer of transformers.

    Args:
        folder: its files.
        max_tokens: longer captions lose their end, but keep the tokens that mark it.
    """

    def __init__(self, folder: Path, max_tokens: int) -> None:
        from transformers import AutoTokenizer

        with readable(folder):
            self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.max_tokens = max_tokens
        # Truncation is state of the tokenizer: two threads at once are an error there.
        self._lock = Lock()

    def tokens_of(self, caption: str | None) -> Tokens:
        """Return the tokens of a caption.

        Raises:
            SampleError: the sample has no caption. An empty one is a caption.
        """
        if caption is None:
            raise SampleError(Cause.NO_CAPTION, "expected a caption, got a sample without one")
        with self._lock:
            found = self._tokenizer(caption, truncation=True, max_length=self.max_tokens)
        return np.asarray(found["input_ids"], np.int64)

    def pad(
        self, batch: Sequence[Tokens], length: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the tokens (B, length) of a batch, and the mask: 1 for tokens, 0 for padding.

        Args:
            batch: tokens of captions.
            length: None: that of the longest.
        """
        width = max(1, length or max(map(len, batch)))
        filler = self._tokenizer.pad_token_id
        ids = np.full((len(batch), width), 0 if filler is None else filler, np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        is_left = self._tokenizer.padding_side == "left"
        for row, tokens in enumerate(batch):
            place = slice(width - len(tokens), width) if is_left else slice(len(tokens))
            ids[row, place] = tokens
            mask[row, place] = 1
        return ids, mask

    def tensors(self, batch: Sequence[Tokens], device: Any, length: int | None = None) -> Any:
        """Return what `pad` returns, as tensors on a device."""
        import torch

        return tuple(torch.from_numpy(array).to(device) for array in self.pad(batch, length))
