"""`<dataset>/loader_preview`: a batch as training gets it from the staged shards, drawn, so that a person sees whether labels fit."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary
from dataset_assets.orchestration.automation import step_retries, whole_condition
from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import LOADER_PREVIEW, STAGED, DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.runs import staged_sets
from dataset_assets.orchestration.stages.staged.section import LoaderPreview, Published
from dataset_assets.storage.store import Store, open_store

PICTURE = "batch.jpg"
_INLINE_BYTES = 9000
_DESCRIPTION = (
    "A batch of `{partition}` as a training loop gets it: augmented, with train ids, drawn."
)


def build_loader_preview(
    spec: DatasetSpec, published: Published, section: LoaderPreview
) -> dg.AssetsDefinition:
    """Build the asset."""
    partition = section.partition or published.partitions_made[0]

    @dg.asset(
        key=spec.key(LOADER_PREVIEW),
        deps=[
            dg.AssetDep(
                spec.key(STAGED),
                partition_mapping=dg.SpecificPartitionsPartitionMapping([partition]),
            )
        ],
        automation_condition=whole_condition(spec),
        retry_policy=step_retries(spec),
        group_name=spec.name,
        kinds={"torch", "image"},
        description=spec.describe(_DESCRIPTION.format(partition=partition)),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def loader_preview(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> dg.MaterializeResult[None]:
        del context
        with as_failure():
            store = storage.store(spec.name, LOADER_PREVIEW)
            return dg.MaterializeResult(
                metadata=dict(_describe(spec, partition, section, storage, store))
            )

    return loader_preview


def _describe(
    spec: DatasetSpec,
    partition: str,
    section: LoaderPreview,
    storage: StorageResource,
    store: Store,
) -> Iterator[tuple[str, Any]]:
    """Load, draw and describe the batch."""
    from dataset_assets.images.contact_sheet import shrink_sheet  # these bring OpenCV and torch
    from dataset_assets.pipelines.preview.batch import PreviewOptions, preview_batch

    options = PreviewOptions(
        batch_size=section.batch_size,
        height=section.height,
        width=section.width,
        seed=section.seed,
        augment=section.augment,
        class_dictionary=_dictionary(section.class_dictionary, storage),
    )
    preview = preview_batch(staged_sets(spec, [partition], storage)[0], options)
    store.write(PICTURE, preview.drawing)
    yield "batch", metadata.picture(shrink_sheet(preview.drawing, max_bytes=_INLINE_BYTES))
    yield "picture", metadata.link(store.locate(PICTURE))
    yield "keys", ", ".join(preview.keys)
    yield from preview.shapes.items()
    total = sum(preview.labels.values())
    rows = sorted(preview.labels.items(), key=lambda item: -item[1])
    yield (
        "classes in the batch",
        metadata.table(
            {"class": name, "count": count, "share": metadata.share(count, total)}
            for name, count in rows
        ),
    )
    unknown = preview.unknown_labels.items()
    yield (
        "labels that are ignored",
        metadata.table({"label": label, "images": images} for label, images in unknown),
    )
    yield "loader", dg.MetadataValue.json(preview.metrics)


def _dictionary(name: str | None, storage: StorageResource) -> ClassDictionary | str | None:
    """Read the class dictionary of the YAML, unless it is one that is shipped."""
    if name is None or name in SHIPPED:
        return name
    folder, _, file = storage.resolve(name).rpartition("/")
    return ClassDictionary.load(open_store(folder or "/").read(file), name)
