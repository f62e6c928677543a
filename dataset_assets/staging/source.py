"""A published dataset as the pipeline `stage` sees it. Sources know layouts and labels; where bytes come from and go to is not their affair.

A file in this folder with a class `Source` (and options of its own) is a source: `coco`, `cityscapes`, `imagenet`, `cvat`. Sources see other stores and
the network through `Access` only, so the same source works on archives in a folder, on object storage and on a web server.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Protocol

from dataset_assets.records.staged import ClassLabel, License, StagedSample, StageItem


class WebSession(Protocol):
    """Requests that share cookies; see `fetch.session`."""

    def get(self, url: str) -> Any:
        """Get a page: an answer with `status`, `headers` and `body`."""

    def post_form(self, url: str, fields: dict[str, str]) -> Any:
        """Send a form, without following a redirect."""


class SourceAccess(Protocol):
    """What a source may ask of the outside. One for each partition that is staged."""

    def open(self, url: str) -> BinaryIO:
        """Open a path, a url of a store or an http(s) url for seekable reading. What `session` has got as cookies is sent along.

        Raises:
            ObjectMissing, SourceError: it is not there, or not to be read.
        """

    def keep(self, name: str, read: Callable[[], BinaryIO], digest: str = "") -> BinaryIO:
        """Open a file that the partition keeps beside its shards as `annotations/<name>`.

        The first time `read` is called and its stream copied there; afterwards it is read from there, and nothing is downloaded twice. Another `digest`
        than the one that it was kept with means that what it came from has changed: it is copied again.
        """

    def session(self) -> WebSession:
        """Return the session of this access."""

    def secret(self, name: str) -> str:
        """Return a credential by the name of its variable, such as CITYSCAPES_PASSWORD.

        Raises:
            ConfigurationError: there is none; the message has the name.
        """


class StagingPartition(Protocol):
    """One part of a dataset, opened: its directory and annotations have been looked at, no image has been read."""

    name: str
    fingerprint: str  # hex; of everything that shapes the bytes of samples: contents of archives and options, never places

    @property
    def columns(self) -> Mapping[str, str]:
        """Column -> Arrow type name: "string", "int32", "int64", "double", "bool"."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Extensions that samples may have beside the payload: each with a dot, such as "seg.png"."""

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The category table."""

    @property
    def archives(self) -> Mapping[str, str]:
        """Name -> digest of the content of each archive."""

    @property
    def count(self) -> int | None:
        """Images, when known beforehand."""

    def items(self, start: int) -> Iterator[StageItem]:
        """Read the images with their companions in archive order, from the `start`-th one. Those before it are not read where the archive allows that.

        Raises:
            ArchiveCorrupt, SourceError: the rest can not be read; what was yielded before is sound.
        """

    def sample(self, item: StageItem) -> StagedSample:
        """Make a sample: draw label maps, collect annotations. Depends on the item only; called from several threads.

        Raises:
            SampleError: it can not be made; the image gets a row without a sample.
        """

    def objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of the objects of an image in layout `objects`, the image first."""

    def finish(self) -> None:
        """Check what can be checked only now: the md5 of archives whose bytes were all read. Called after the last item.

        Raises:
            ArchiveCorrupt: an archive is not the published one.
        """

    def warnings(self) -> Mapping[str, int]:
        """Count what is odd and was kept or passed over. The same in every run, also in one that only makes the last shard."""

    def close(self) -> None:
        """Close the archives. Idempotent."""


class StagingSource(Protocol):
    """A published dataset."""

    kind: str  # "coco": the name of the source's file
    partitions: tuple[str, ...]

    @property
    def license(self) -> License:
        """On which terms it may be used."""

    def open(self, partition: str, access: SourceAccess) -> StagingPartition:
        """Open a partition.

        Raises:
            SourceError, ConfigurationError: it can not be read, or is not laid out as published.
        """
