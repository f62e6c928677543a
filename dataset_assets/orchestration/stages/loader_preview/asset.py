"""`<dataset>/loader_preview`: a batch as a training loop gets it, drawn for a visual check.

It shows a person whether labels fit the images.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary
from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.assets import stage_asset
from dataset_assets.orchestration.common.automation import whole_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.loader_preview.section import (
    LOADER_PREVIEW,
    LoaderPreview,
)
from dataset_assets.orchestration.stages.staged.asset import staged_sets
from dataset_assets.orchestration.stages.staged.section import STAGED, PublishedSource
from dataset_assets.storage.store import Store, open_store

if TYPE_CHECKING:
    from dataset_assets.pipelines.preview.batch import Preview

DRAWING = "batch.jpg"
_INLINE_BYTES = 9000
_DESCRIPTION = (
    "A batch of `{partition}` as a training loop gets it: augmented, with train ids, drawn."
)


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    return dg.Definitions(assets=[loader_preview_asset(spec, spec.section(LoaderPreview))])


def loader_preview_asset(spec: DatasetSpec, section: LoaderPreview) -> dg.AssetsDefinition:
    """Build the asset."""
    partition = section.partition or spec.section(PublishedSource).partitions_made[0]
    mapping = dg.SpecificPartitionsPartitionMapping([partition])

    @stage_asset(
        spec,
        LOADER_PREVIEW,
        _DESCRIPTION.format(partition=partition),
        deps=[dg.AssetDep(spec.key(STAGED), partition_mapping=mapping)],
        automation_condition=whole_condition(spec),
        kinds={"torch", "image"},
    )
    def loader_preview(storage: StorageResource) -> dg.MaterializeResult[None]:
        # Loads OpenCV.
        from dataset_assets.pipelines.preview.batch import PreviewOptions, preview_batch

        with as_failure():
            options = PreviewOptions(
                batch_size=section.batch_size,
                height=section.height,
                width=section.width,
                seed=section.seed,
                augment=section.augment,
                class_dictionary=_dictionary(section.class_dictionary, storage),
            )
            (staged,) = staged_sets(spec, storage, [partition])
            preview = preview_batch(staged, options)
            found = preview_metadata(storage.store(spec.name, LOADER_PREVIEW), preview)
        return dg.MaterializeResult(metadata=found)

    return loader_preview


def _dictionary(name: str | None, storage: StorageResource) -> ClassDictionary | str | None:
    """Read the class dictionary of the YAML, unless it is a shipped one."""
    if name is None or name in SHIPPED:
        return name
    folder, _, file = storage.resolve(name).rpartition("/")
    return ClassDictionary.load(open_store(folder or "/").read(file), name)


def preview_metadata(store: Store, preview: "Preview") -> dict[str, Any]:
    """Describe a batch, and write its drawing to the store."""
    from dataset_assets.images.contact_sheet import shrink_sheet  # loads OpenCV

    store.write(DRAWING, preview.drawing)
    total = sum(preview.labels.values())
    by_count = sorted(preview.labels.items(), key=lambda item: -item[1])
    classes = (
        {"class": name, "count": count, "share": metadata.share(count, total)}
        for name, count in by_count
    )
    ignored = (
        {"label": label, "images": images} for label, images in preview.unknown_labels.items()
    )
    return {
        "batch": metadata.inline_image(shrink_sheet(preview.drawing, max_bytes=_INLINE_BYTES)),
        "image": metadata.link(store.locate(DRAWING)),
        "keys": ", ".join(preview.keys),
        **preview.shapes,
        "classes in the batch": metadata.table(classes),
        "ignored labels": metadata.table(ignored),
        "loader": dg.MetadataValue.json(preview.metrics),
    }
