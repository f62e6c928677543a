"""Tiny published datasets, staged into the default folders of `Create...Loaders`."""

from dataset_assets.pipelines.stage.stage import StageOptions, stage
from dataset_assets.staging.sources import cityscapes, coco, imagenet
from dataset_assets_tests.support.tiny_cityscapes import write_cityscapes
from dataset_assets_tests.support.tiny_coco import write_coco
from dataset_assets_tests.support.tiny_imagenet import write_imagenet

SHARDS = StageOptions(max_shard_samples=4, workers=1)


def stage_coco(folder, bucket, *, images=12, corrupt=False):
    """Stage train2017 and val2017 below data/coco/staged of a store."""
    write_coco(folder, images=images, corrupt=corrupt)
    source = coco.Source(coco.CocoOptions(folder=str(folder)))
    for partition in ("train2017", "val2017"):
        stage(source, bucket.child(f"data/coco/staged/{partition}"), SHARDS, partition=partition)


def stage_cityscapes(folder, bucket):
    """Stage train and val below data/cityscapes/staged of a store: six images and three."""
    write_cityscapes(folder)
    source = cityscapes.Source(cityscapes.CityscapesOptions(folder=str(folder)))
    for partition in ("train", "val"):
        stage(
            source, bucket.child(f"data/cityscapes/staged/{partition}"), SHARDS, partition=partition
        )


def stage_imagenet(folder, bucket):
    """Stage train (twelve images of three classes) and val (four) below data/imagenet/staged."""
    write_imagenet(folder)
    source = imagenet.Source(imagenet.ImagenetOptions(path=str(folder), torchvision_meta=False))
    for partition in ("train", "val"):
        stage(
            source, bucket.child(f"data/imagenet/staged/{partition}"), SHARDS, partition=partition
        )
