"""The baseline of `torch_loader.py`: a loader that does what that of torchdatasetutil does.

The annotations are one JSON that is read and indexed when the loader is created. Every access to a
sample is one signed GET of its image through a pool of urllib3, one decode, and one drawing of its
polygons; the whole image is normalized in float64; image and label map are padded, warped and
cropped separately; torch collates. The defects of torchdatasetutil, which cost or save little time,
are not repeated.
"""

import json
import os
from collections import defaultdict
from typing import Any

import boto3
import cv2
import numpy as np
import torch
import urllib3
from botocore.config import Config

from dataset_assets.staging.masks import rle

BUCKET = "imgml"
ANNOTATIONS = "data/coco/annotations/instances_train2017.json"
IMAGES = "data/coco/train2017"


class Objects:
    """Objects of one bucket. Each process creates its own client."""

    def __init__(self) -> None:
        self._clients: dict[int, tuple[Any, urllib3.PoolManager]] = {}

    def get(self, key: str) -> bytes:
        """Read an object."""
        signer, pool = self._clients.get(os.getpid()) or self._make()
        url = signer.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key})
        answer = pool.request("GET", url)
        if answer.status != 200:
            raise OSError(f"{key}: status {answer.status}")
        return answer.data

    def _make(self) -> tuple[Any, urllib3.PoolManager]:
        config = Config(s3={"addressing_style": "path"}, signature_version="s3v4")
        self._clients[os.getpid()] = (
            boto3.client("s3", config=config),
            urllib3.PoolManager(maxsize=10),
        )
        return self._clients[os.getpid()]


class ImageDataset(torch.utils.data.Dataset[Any]):
    """One GET, one decode and one drawing per sample."""

    def __init__(self, side: int, train_ids: dict[int, int]) -> None:
        self._objects = Objects()
        self._side = side
        self._train_ids = train_ids
        document = json.loads(self._objects.get(ANNOTATIONS))
        self._images = document["images"]
        self._annotations = defaultdict(list)
        for annotation in document["annotations"]:
            self._annotations[annotation["image_id"]].append(annotation)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, float, float]:
        entry = self._images[index]
        body = self._objects.get(f"{IMAGES}/{entry['file_name']}")
        image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
        label = self._drawn(entry)
        mean = float(np.mean(image))
        stdev = float(np.std(image))
        image = ((image - mean) / stdev).astype(np.float32)
        image, label = self._cropped(*self._warped(*self._padded(image, label)))
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(label), mean, stdev

    def _drawn(self, entry: dict[str, Any]) -> np.ndarray:
        label = np.zeros((entry["height"], entry["width"]), np.uint8)
        for annotation in self._annotations[entry["id"]]:
            train_id = self._train_ids[annotation["category_id"]]
            shape = annotation["segmentation"]
            if isinstance(shape, dict):
                label[rle.decode(shape["counts"], *shape["size"]) > 0] = train_id
                continue
            for polygon in shape:
                points = np.rint(np.reshape(polygon, (-1, 2))).astype(np.int32)
                cv2.drawContours(label, [points], -1, train_id, cv2.FILLED)
        return label

    def _padded(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        down, across = (max(0, self._side - length) for length in label.shape)
        if not down and not across:
            return image, label
        edges = (down - down // 2, down // 2, across - across // 2, across // 2)
        return tuple(
            cv2.copyMakeBorder(each, *edges, cv2.BORDER_CONSTANT, value=0)
            for each in (image, label)
        )

    def _warped(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = label.shape
        center = (
            width * (0.5 + np.random.uniform(-0.1, 0.1)),
            height * (0.5 + np.random.uniform(-0.1, 0.1)),
        )
        angle = np.random.uniform(-3, 3)
        scale = np.random.uniform(0.75, 1.25)
        matrix = np.vstack([cv2.getRotationMatrix2D(center, angle, scale), [0, 0, 1]])
        if np.random.rand() < 0.5:
            matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        return tuple(cv2.warpAffine(each, matrix[:2], (width, height)) for each in (image, label))

    def _cropped(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        top, left = (np.random.randint(0, length - self._side + 1) for length in label.shape)
        return tuple(
            each[top : top + self._side, left : left + self._side] for each in (image, label)
        )


def image_loader(
    side: int, batch_size: int, workers: int, train_ids: dict[int, int]
) -> torch.utils.data.DataLoader[Any]:
    """Return the baseline's loader."""
    dataset = ImageDataset(side, train_ids)
    return torch.utils.data.DataLoader(
        dataset, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=workers
    )
