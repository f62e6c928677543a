"""`source: {urls: ...}` of a `defs.yaml`, and the keys of `shards:` that shape the plan."""

from typing import Annotated, Literal

from pydantic import Field

from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Section
from dataset_assets.urls.lists import ListOptions

RAW_URLS = "raw_urls"
#: Second part of the key of the lists, which are external.
URL_LISTS = "url_lists"

Count = Annotated[int, Field(ge=1)]
_RENAMED = {
    "url_column": "url_col",
    "caption_column": "caption_col",
    "keep_columns": "save_additional_columns",
    "bbox_column": "bbox_col",
}


class VerifyHash(Section):
    """A column of the list with the expected hash of each file."""

    column: str
    type: Literal["md5", "sha256", "sha512"] = "sha256"


@mirrors(ListOptions, renamed=_RENAMED, omit={"verify_hash_col"})
class Urls(Section):
    """URL lists."""

    path: str
    """A file, folder or glob on any store. Relative paths start at DATASET_ASSETS_ROOT."""
    input_format: str = "auto"
    """`auto` (by file name), or a format of `dataset_assets/urls/formats/`.

    With a compression suffix, such as `csv.gz`, only files with that compression are read.
    """
    verify_hash: VerifyHash | None = None

    def check_options(self) -> None:
        """Build the options of the library, which checks the values."""
        self.list_options()

    def list_options(self) -> ListOptions:
        """Build the options of the library."""
        column = self.verify_hash.column if self.verify_hash is not None else None
        return self.build(ListOptions, verify_hash_col=column)


class Planning(Section):
    """How a plan cuts the rows of the lists into shards and partitions."""

    samples_per_shard: Count = 10_000
    shards_per_partition: Count | None = None
    """Shards in one partition of a new list; never changes for a list that is planned.

    Left out: 1, or as many as keep the dataset below 10,000 partitions.
    """
