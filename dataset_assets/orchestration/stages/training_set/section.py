"""`training_set:` of a `defs.yaml`: buckets and captions.

A key that is left out has the library's default.
"""

from collections.abc import Iterator
from typing import Any

from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.staged.section import PublishedSource, layout_problems
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.options import SampleOptions

TRAINING_SET = "training_set"
_BUCKETS = {
    "buckets": "image_resolution_buckets",
    "video_buckets": "video_resolution_buckets",
}
#: The layout is known, and the others are of folders of other people.
_NO_SOURCE_KEYS = {"layout", "subfolders", "metadata_file", "revision", "caption_columns"}


@mirrors(CaptionOptions)
class Captions(Section):
    """Which caption a sample gets, and what is done to it."""


@mirrors(SourceOptions, omit=_NO_SOURCE_KEYS)
@mirrors(SampleOptions, renamed=_BUCKETS, omit={"captions"})
class TrainingSetSection(Section):
    """Samples for training: a split, or the shards of a dataset without splits."""

    partition: str | None = None
    """Part of a published dataset. Left out: the first one."""
    captions: Captions = Captions()
    max_skipped_fraction: float | None = None
    """Share of samples that may be damaged or lack a caption; more is an error."""

    def check_options(self) -> None:
        """Build the options of the library, which checks the values."""
        self.build(SourceOptions)
        self.sample_options()

    def sample_options(self) -> SampleOptions:
        """Build the options of buckets and captions."""
        return self.build(SampleOptions, captions=self.captions.build(CaptionOptions))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `training_set` that are in the YAML."""
        given = {
            **self.given(SourceOptions),
            **self.given(SampleOptions),
            **self.captions.given(CaptionOptions),
        }
        if self.max_skipped_fraction is not None:
            given["max_skipped_fraction"] = self.max_skipped_fraction
        return given


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find an unknown partition, and a staged layout without shards."""
    section = spec.find(TrainingSetSection)
    if section is None:
        return
    published = spec.find(PublishedSource)
    known = published.partitions_made if published is not None else ()
    if section.partition not in (None, *known):
        expected = f"one of {', '.join(known)}" if known else "none: only staged data has parts"
        text = f"partition: expected {expected}, got {section.partition!r}"
        yield TRAINING_SET, section, text
    yield from layout_problems(spec, TRAINING_SET)
