"""`source:` of a `defs.yaml`: where a dataset comes from."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dataset_assets.orchestration.sections._section import Section, checked
from dataset_assets.urls._base import ListOptions

#: key here -> name in the library, where they differ
_NAMES = {"url_column": "url_col", "caption_column": "caption_col", "keep_columns": "save_additional_columns", "bbox_column": "bbox_col"}


class VerifyHash(Section):
    """A column of the list that says what the hash of each file is."""

    column: str
    type: Literal["md5", "sha256", "sha512"] = "sha256"


class Urls(Section):
    """Lists of urls."""

    path: str
    """A file, folder or glob on any store. A relative path starts at DATASET_ASSETS_ROOT."""
    input_format: str = "auto"
    """`auto` (by file name), or a format of `dataset_assets/urls/`, with a compression to take only such files (`csv.gz`)."""
    url_column: str = "url"
    caption_column: str | None = None
    keep_columns: list[str] = Field(default_factory=list)
    """Columns that are copied to the metadata of every sample."""
    bbox_column: str | None = None
    """Column of boxes to blur: lists of [left, top, right, bottom], 0 to 1."""
    verify_hash: VerifyHash | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.list_options, _NAMES)
        return self

    def list_options(self) -> ListOptions:
        """Build the options of the library."""
        return ListOptions(
            input_format=self.input_format,
            url_col=self.url_column,
            caption_col=self.caption_column,
            save_additional_columns=tuple(self.keep_columns),
            bbox_col=self.bbox_column,
            verify_hash_col=self.verify_hash.column if self.verify_hash else None,
        )


class Source(Section):
    """Where a dataset comes from: exactly one kind of source."""

    urls: Urls
