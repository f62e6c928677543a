"""The protocols between a published dataset and the pipeline `stage`.

A file or package in `staging/sources/` with a class `Source` is a plug-in: it implements
`StagingSource`, and its attribute `options_class` names the dataclass of its options. A source
knows layouts and labels. It reaches other stores and the network through `SourceAccess` only, so
it works the same on archives in a folder, in object storage and on a web server.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, ClassVar, Protocol

from dataset_assets.records.staged import ClassLabel, License, StagedSample, StageItem


class WebPage(Protocol):
    """The response to a request."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def body(self) -> bytes:
        """Content, decompressed."""


class WebSession(Protocol):
    """Requests that share cookies."""

    def get(self, url: str) -> WebPage:
        """Get a page."""

    def post_form(self, url: str, fields: dict[str, str]) -> WebPage:
        """Send a form, without following a redirect."""


class SourceAccess(Protocol):
    """What a source may reach outside. There is one for each partition that is staged."""

    def open(self, url: str) -> BinaryIO:
        """Open a path, a store URL or an HTTP(S) URL for seekable reading.

        HTTP requests send the cookies of `session`.

        Raises:
            ObjectMissing, SourceError: the file does not exist or cannot be read.
        """

    def keep(self, name: str, read: Callable[[], BinaryIO], digest: str = "") -> BinaryIO:
        """Open a file that the partition keeps beside its shards as `annotations/<name>`.

        The first call copies the stream that `read` returns; later calls and runs read the copy,
        so nothing is downloaded twice. The file is copied again when `digest` differs from that of
        the copy, because then its origin has changed.
        """

    def session(self) -> WebSession:
        """Return the session of this access."""

    def secret(self, name: str) -> str:
        """Return a credential by the name of its variable, such as CITYSCAPES_PASSWORD.

        Raises:
            ConfigurationError: it is not set; the message has the name.
        """


class StagingPartition(Protocol):
    """One partition of a dataset, open: directory and annotations were read, images were not."""

    name: str
    #: sha256 (hex) of everything that shapes the bytes of the samples: the content of archives and
    #: the options, but never where the archives are.
    fingerprint: str

    @property
    def columns(self) -> Mapping[str, str]:
        """Column name -> Arrow type name: "string", "int32", "int64", "double" or "bool"."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Extensions that samples may have beside the payload, such as "seg.png"."""

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The category table."""

    @property
    def archives(self) -> Mapping[str, str]:
        """Archive name -> digest of its content."""

    @property
    def count(self) -> int | None:
        """Number of images; None when only reading the archive to its end would tell."""

    @property
    def warnings(self) -> Mapping[str, int]:
        """Counts of irregularities that were accepted or skipped.

        Equal in every run, also in one that only writes the last shard.
        """

    def read_items(self, start: int) -> Iterator[StageItem]:
        """Read images and their companions in archive order, starting with image number `start`.

        Earlier images are not read where the archive allows skipping them.

        Raises:
            ArchiveCorrupt, SourceError: the rest cannot be read; items already yielded are valid.
        """

    def make_sample(self, item: StageItem) -> StagedSample:
        """Make a sample: draw label maps, collect annotations.

        Depends on the item only. Called from several threads.

        Raises:
            SampleError: no sample can be made; the image gets a row without one.
        """

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """Yield (path, bytes) of the objects of an image in layout `objects`, the image first."""

    def verify_archives(self) -> None:
        """Compare archives with their published checksums. Called after the last item.

        Raises:
            ArchiveCorrupt: an archive is not the published one.
        """

    def close(self) -> None:
        """Close the archives. Idempotent."""


class StagingSource(Protocol):
    """A published dataset.

    A class variable `paths` names the options that are paths or URLs, or hold some as values of a
    mapping; in a `defs.yaml`, relative ones start at DATASET_ASSETS_ROOT.
    """

    #: The name of the plug-in: "coco".
    kind: ClassVar[str]
    options_class: ClassVar[type]
    partitions: tuple[str, ...]

    @property
    def license(self) -> License:
        """The terms under which the dataset may be used."""

    def open(self, partition: str, access: SourceAccess) -> StagingPartition:
        """Open a partition.

        Raises:
            SourceError, ConfigurationError: it cannot be read, or its layout is not the published
                one.
        """
