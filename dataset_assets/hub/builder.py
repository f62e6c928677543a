"""`VideoDataset`: a `datasets` builder that reads split archives as videos, images or files.

It is alone in its module because streaming replaces `open`, `os.path.join` and more in the module
that defines a builder, for the life of the process. `loading.video_dataset` finds the archives and
their fingerprint, and opens it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import datasets

from dataset_assets.hub._archive_rows import archive_rows, row_features


@dataclass
class ArchivesConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """What the archives contain."""

    archives: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Split -> paths below `base_path`, with their number of samples; -1 when unknown."""
    media: str = "frames"
    """`frames`, `image` or `file`."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column -> Arrow type, besides the payload and the key."""


class VideoDataset(datasets.GeneratorBasedBuilder):  # type: ignore[misc]
    """Rows of archives in either layout, plain or compressed, prepared or streamed.

    Pass a fingerprint of the content as `hash`: the cache of `datasets` is keyed by name, options
    and hash, never by the archives themselves.
    """

    BUILDER_CONFIG_CLASS = ArchivesConfig
    DEFAULT_WRITER_BATCH_SIZE = 16  # rows in memory; a row is a whole video

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            features=datasets.Features.from_dict(
                row_features(self.config.media, self.config.columns)
            )
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            self._split_generator(dl_manager, split, files)
            for split, files in self.config.archives.items()
        ]

    def _split_generator(
        self, dl_manager: Any, split: str, files: list[tuple[str, int]]
    ) -> datasets.SplitGenerator:
        labels = [path for path, _ in files]
        archives = [dl_manager.iter_archive(path) for path in dl_manager.download(labels)]
        counts = [count for _, count in files]
        return datasets.SplitGenerator(
            name=split, gen_kwargs={"archives": archives, "labels": labels, "counts": counts}
        )

    def _generate_examples(
        self, archives: list[Iterable[tuple[str, BinaryIO]]], labels: list[str], counts: list[int]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for archive, label, count in zip(archives, labels, counts, strict=True):
            yield from archive_rows(archive, label, count, self.config.media, self.config.columns)
