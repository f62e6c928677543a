"""ImageNet (ILSVRC 2012, classification and localization), one sample per image.

It is read straight from the archive of Kaggle: a zip or tar(.gz) with
`ILSVRC/Data/CLS-LOC/{train/<wnid>,val,test}/*.JPEG`, also inside a zip. The tables `LOC_*` are in
the archive or beside it; they give the class of each validation image. The terms of access forbid
redistribution.

Source: https://www.kaggle.com/competitions/imagenet-object-localization-challenge/data
"""

from dataclasses import dataclass

from dataset_assets import checks
from dataset_assets.archives.opening import open_archive
from dataset_assets.archives.published import Archive
from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.records.staged import License
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.imagenet._partition import PARTITIONS, ImagenetPartition
from dataset_assets.staging.sources.imagenet._tables import Tables, list_directory
from dataset_assets.storage.store import open_store

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
#: torchvision's table, kept beside the shards.
META_FILE = "meta.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenetOptions:
    """Where the archive is, and which parts of it are staged.

    Raises:
        ConfigurationError: ImageNet has no such partition, or there is no path.
    """

    path: str
    """The archive, or the folder that has it and the tables `LOC_*`."""
    labels: str | None = None
    """Folder of the tables `LOC_*`. Default: beside the archive, else in it."""
    partitions: tuple[str, ...] = ("train", "val")
    """`train`, `val`, `test`. Default: the first two."""
    torchvision_meta: bool = True
    """Write the `meta.bin` that torchvision reads; needs torch."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigurationError(
                f"path: expected the archive of ImageNet from Kaggle, or its folder, "
                f"got {self.path!r}"
            )
        checks.some_of("partitions", self.partitions, PARTITIONS, at_least=1)


class Source:
    """ImageNet as a source of samples."""

    kind = "imagenet"
    options_class = ImagenetOptions
    paths = ("path", "labels")
    license = License(
        "ImageNet terms of access", "https://www.image-net.org/download.php", redistributable=False
    )

    def __init__(self, options: ImagenetOptions) -> None:
        self.options = options
        self.partitions = options.partitions

    def open(self, partition: str, access: SourceAccess) -> ImagenetPartition:
        """Open the archive and read the tables."""
        folder, name = self._find_archive()
        file = access.open(f"{folder}/{name}")
        archive = open_archive(file, name)
        tables = Tables(access, self.options.labels or folder, archive)
        if self.options.torchvision_meta:
            access.keep(META_FILE, tables.make_meta)
        return ImagenetPartition(partition, _inner_archive(archive), tables, file)

    def _find_archive(self) -> tuple[str, str]:
        """Return the folder and the name of the archive."""
        path = self.options.path.rstrip("/")
        folder, _, name = path.rpartition("/")
        if name.endswith(_ARCHIVES):
            return folder or ".", name
        files = open_store(path).list("", recursive=False)
        found = [file.key for file in files if file.key.endswith(_ARCHIVES)]
        if len(found) != 1:
            raise SourceError(
                f"{path}: expected one archive of ImageNet ({', '.join(_ARCHIVES)}), "
                f"found {', '.join(found) or 'none'}; give the path of the file"
            )
        return path, found[0]


def _inner_archive(archive: Archive) -> Archive:
    """Return the archive inside a zip that has one beside the tables, else the archive itself."""
    found = [member for member in list_directory(archive) if member.name.endswith(_ARCHIVES)]
    if len(found) != 1:
        return archive
    return open_archive(archive.open(found[0]), found[0].name)
