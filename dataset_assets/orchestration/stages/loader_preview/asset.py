"""`<dataset>/loader_preview`: a batch as a training loop gets it, drawn for a visual check.

It shows a person whether labels fit the images.
"""

import dagster as dg

from dataset_assets.loaders.labels.class_dictionary import SHIPPED, ClassDictionary
from dataset_assets.orchestration.common.automation import step_retries, whole_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.loader_preview.page import preview_metadata
from dataset_assets.orchestration.stages.loader_preview.section import (
    LOADER_PREVIEW,
    LoaderPreview,
)
from dataset_assets.orchestration.stages.staged.runs import staged_sets
from dataset_assets.orchestration.stages.staged.section import STAGED, PublishedSource
from dataset_assets.storage.store import open_store

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

    @dg.asset(
        key=spec.key(LOADER_PREVIEW),
        deps=[dg.AssetDep(spec.key(STAGED), partition_mapping=mapping)],
        automation_condition=whole_condition(spec),
        retry_policy=step_retries(spec),
        group_name=spec.name,
        kinds={"torch", "image"},
        description=spec.describe(_DESCRIPTION.format(partition=partition)),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def loader_preview(storage: StorageResource) -> dg.MaterializeResult[None]:
        # Loads OpenCV and torch.
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
