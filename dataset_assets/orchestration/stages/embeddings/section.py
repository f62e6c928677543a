"""`embeddings:` of a `defs.yaml`: a key for each encoder, with its options.

Each plug-in of `dataset_assets/embeddings/encoders/` is a key here.
"""

import inspect
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataset_assets import registry
from dataset_assets.embeddings.encoder import ROLE, options_of
from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section, create_section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.staged.section import layout_problems
from dataset_assets.pipelines.embed.options import EmbedOptions

EMBEDDINGS = "embeddings"


@mirrors(EmbedOptions, renamed={"processes": "processes_count"}, omit={"distributor"})
class EncoderSection(Section):
    """Base of the encoders."""

    encoder: ClassVar[str]

    caption_column: str | None = None
    """Column of the shards that encoders of text read. Left out: `caption`."""
    min_success_rate: Annotated[float, Field(ge=0, le=1)] = 0.99
    """The check `embeddings_complete` warns below this share of samples."""
    max_partitions_per_run: Annotated[int, Field(ge=1)] = 8
    """Partitions of a backfill in one run."""

    def encoder_options(self) -> dict[str, Any]:
        """Return the options of the encoder that are in the YAML."""
        return self.given(options_of(self.encoder))

    def embed_options(self) -> EmbedOptions:
        """Build the options of the library."""
        return self.build(EmbedOptions)


class EmbeddingsBase(Section):
    """Encoders, each with its options; `{}` for the defaults."""

    @property
    def encoders(self) -> dict[str, EncoderSection]:
        """The encoders that the YAML names."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: section for name, section in found.items() if section is not None}


def embeddings_section() -> type[EmbeddingsBase]:
    """Build the section from the encoders that exist."""
    keys = {name: (_encoder_section(name) | None, None) for name in registry.names(ROLE)}
    return create_section("Embeddings", EmbeddingsBase, EmbeddingsBase.__doc__, keys)


def _encoder_section(name: str) -> type[EncoderSection]:
    options = options_of(name)
    title = "".join(part.title() for part in name.split("_"))
    section = create_section(title, EncoderSection, inspect.getdoc(options), {})
    section.encoder = name
    return mirrors(options)(section)


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find a section without an encoder, and a staged layout without shards."""
    section = spec.find(EmbeddingsBase)
    if section is not None and not section.encoders:
        known = ", ".join(type(section).model_fields)
        yield EMBEDDINGS, section, f"expected at least one encoder of {known}, got none"
    yield from layout_problems(spec, EMBEDDINGS)
