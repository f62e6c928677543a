"""One answer -> one sample: hash, verify, transform. Runs in codec threads, holds no state, never raises for content."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataset_assets.fetch.media_types import extension_for
from dataset_assets.images.transform import ImageTransform
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Media


@dataclass(frozen=True, slots=True)
class Sample:
    """What is stored for a row, with the hash of the bytes as fetched."""

    media: Media
    digest: str | None = None  # hex; None on failure or when hashing is off


class SampleMaker:
    """Applies the options of a download to one body at a time."""

    def __init__(self, options: DownloadOptions) -> None:
        self._hash = getattr(hashlib, options.compute_hash) if options.compute_hash else None
        self._transform = ImageTransform(options.image) if options.image is not None else None

    def __call__(
        self,
        outcome: FetchOutcome,
        *,
        expected_hash: str | None = None,
        bboxes: Sequence[Any] | None = None,
    ) -> Sample:
        """Make the sample of an answer; a failed answer keeps its cause."""
        body = outcome.body
        if body is None:
            return Sample(Media(cause=outcome.cause, message=outcome.message))
        digest = self._hash(body).hexdigest() if self._hash is not None else None
        if expected_hash is not None and digest != expected_hash.lower():
            return Sample(Media(cause=Cause.HASH_MISMATCH, message="hash mismatch"))
        if self._transform is None:
            return Sample(
                Media(
                    payload=body,
                    extension=extension_for(body[:512], outcome.content_type, outcome.url),
                ),
                digest,
            )
        media = self._transform(body, bboxes=bboxes)
        return Sample(media, digest if media.cause is None else None)
