"""Cityscapes: street scenes with label maps, one sample per image.

Archives come from the site, after a login, or from copies. A sample is the image as published,
`seg.png` (labelIds), `instance.png` (instanceIds) and `annotations.json` (the polygons), byte for
byte. The license forbids redistribution: what is made of the data is never published.

Layout: https://github.com/mcordts/cityscapesScripts#dataset-structure
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from dataset_assets import checks
from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.opening import open_archive
from dataset_assets.records.staged import License
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.cityscapes._partition import (
    ARCHIVES,
    PARTITIONS,
    CityscapesPartition,
    VerifiedArchive,
)
from dataset_assets.staging.sources.cityscapes._site import SITE, CityscapesSite, Package


@dataclass(frozen=True, slots=True, kw_only=True)
class CityscapesOptions:
    """Which parts of Cityscapes are staged, and where its archives are.

    Raises:
        ConfigurationError: Cityscapes has no such partition or archive.
    """

    partitions: tuple[str, ...] = ("train", "val")
    """`train`, `val`, `test`, `train_extra`. Default: the first two."""
    folder: str | None = None
    """Path or URL that has the archives under their published names. Default: the site."""
    archives: Mapping[str, str] = field(default_factory=dict)
    """Path or URL of single archives, by name: `{"gtFine_trainvaltest.zip": "/data/gt.zip"}`."""
    site: str = SITE
    """URL of the download site."""

    def __post_init__(self) -> None:
        checks.some_of("partitions", self.partitions, tuple(PARTITIONS), at_least=1)
        checks.some_of("archives", tuple(self.archives), ARCHIVES)

    def location_of(self, archive: str) -> str | None:
        """Return the path or URL of a copy of an archive; None when it comes from the site."""
        if archive in self.archives:
            return self.archives[archive]
        return f"{self.folder.rstrip('/')}/{archive}" if self.folder else None


class Source:
    """Cityscapes as a source of samples.

    Needs CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD, unless every archive is a copy.
    """

    kind = "cityscapes"
    options_class = CityscapesOptions
    paths = ("folder", "archives")
    license = License(
        "Cityscapes license", "https://www.cityscapes-dataset.com/license/", redistributable=False
    )

    def __init__(self, options: CityscapesOptions | None = None) -> None:
        self.options = options or CityscapesOptions()
        self.partitions = self.options.partitions

    def open(self, partition: str, access: SourceAccess) -> CityscapesPartition:
        """Open the archives of images and labels; log in first when one comes from the site."""
        names = (PARTITIONS[partition].images, PARTITIONS[partition].labels)
        packages = self._find_packages(names, access)
        with ExitStack() as undo:
            images, labels = (_open_package(package, access, undo) for package in packages)
            opened = CityscapesPartition(partition, images, labels)
            undo.pop_all()
        return opened

    def _find_packages(self, names: Sequence[str], access: SourceAccess) -> list[Package]:
        site = None
        packages = []
        for name in names:
            url = self.options.location_of(name)
            if url is not None:
                packages.append(Package(name, url))
                continue
            site = site or self._log_in(access)
            packages.append(site.package(name))
        return packages

    def _log_in(self, access: SourceAccess) -> CityscapesSite:
        username = access.secret("CITYSCAPES_USERNAME")
        password = access.secret("CITYSCAPES_PASSWORD")
        return CityscapesSite(access.session(), username, password, site=self.options.site)


def _open_package(package: Package, access: SourceAccess, undo: ExitStack) -> VerifiedArchive:
    file = undo.enter_context(HashedFile(access.open(package.url)))
    return VerifiedArchive(open_archive(file, package.name), file, package.md5)
