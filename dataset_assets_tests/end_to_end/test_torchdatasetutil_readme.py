"""The credentials file and the loop of the README of torchdatasetutil run with our import.

They read a COCO staged on S3.
"""

import json
from argparse import Namespace

import numpy as np
import pytest
import torch
from tqdm import tqdm

from dataset_assets.compat.pymlutil.buckets import Connect
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.loaders.labels.label_maps import objects_as_json
from dataset_assets_tests.loaders.staged_datasets import stage_coco
from dataset_assets_tests.support.s3_server import ACCESS_KEY, SECRET_KEY, CountingProxy, moto  # noqa: F401

CREDENTIALS = """\
s3:
- name: store
  type: trainer
  address: <address>:<port>
  access key: <access key>
  secret key: <secret key>
  tls: false
  cert verify: false
  cert path: null
  sets:
    dataset: {"bucket":"imgml","prefix":"data", "dataset_filter":"" }
    trainingset: {"bucket":"imgml","prefix":"training", "dataset_filter":"" }
    model: {"bucket":"imgml","prefix":"model", "dataset_filter":"" }
    test: {"bucket":"imgml","prefix":"test", "dataset_filter":"" }
"""

IMPORT = "from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders"
SNIPPET = """\
# Create dataset loaders
dataset_bucket = s3def['sets']['dataset']['bucket']
if args.dataset=='coco':
    class_dictionary = s3.GetDict(s3def['sets']['dataset']['bucket'],args.coco_class_dict)
    loaders = CreateCocoLoaders(s3, dataset_bucket,
        class_dict=args.coco_class_dict,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        cuda = args.cuda,
        height = args.height,
        width = args.width,
    )

# Identify training and test loaders
trainloader = next(filter(lambda d: d.get('set') == 'train', loaders), None)
testloader = next(filter(lambda d: d.get('set') == 'test' or d.get('set') == 'val', loaders), None)

# Iterate through the dataset
for i, data in tqdm(enumerate(trainloader['dataloader']),
                    bar_format='{desc:<8.5}{percentage:3.0f}%|{bar:50}{r_bar}',
                    total=trainloader['batches'], desc="Train batches", disable=args.job):

    # Extract dataset data
    inputs, labels, mean, stdev = data

    # Remaining steps
"""
REMAINING_STEPS = """
    seen.append((inputs, labels, mean, stdev))
"""
IMAGES, SHARDS, DICTIONARY = 14, 4 + 1, "data/coco/coco.json"


@pytest.fixture
def proxy(moto):  # noqa: F811
    with CountingProxy(moto.url) as counting:
        yield counting


@pytest.fixture
def connected(moto, proxy, tmp_path):  # noqa: F811
    moto.bucket("imgml")
    address = proxy.url.removeprefix("http://")
    text = (
        CREDENTIALS.replace("<address>:<port>", address)
        .replace("<access key>", ACCESS_KEY)
        .replace("<secret key>", SECRET_KEY)
    )
    path = tmp_path / "creds.yaml"
    path.write_text(text)
    s3, _, s3def = Connect(str(path))
    stage_coco(tmp_path / "archives", s3.store("imgml"), images=IMAGES)
    dictionary = shipped("coco")
    objects = {
        "background": dictionary.background,
        "ignore": dictionary.ignore,
        "classes": dictionary.classes,
        "input_type": "float32",
    }
    s3.PutObject(
        "imgml", DICTIONARY, json.dumps(objects | {"objects": objects_as_json(dictionary)}).encode()
    )
    return s3, s3def


@pytest.mark.parametrize("workers", [0, 2])
def test_snippet_runs_one_epoch_when_coco_is_staged_on_s3(
    connected, proxy, workers, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    s3, s3def = connected
    args = Namespace(
        dataset="coco",
        coco_class_dict=DICTIONARY,
        batch_size=4,
        num_workers=workers,
        cuda=False,
        height=80,
        width=96,
        job=True,
    )
    names = {"s3": s3, "s3def": s3def, "args": args, "tqdm": tqdm, "seen": []}
    proxy.reset()
    exec(f"{IMPORT}\n{SNIPPET}{REMAINING_STEPS}", names)
    seen, train, test = names["seen"], names["trainloader"], names["testloader"]
    assert len(seen) == train["batches"] == IMAGES // 4
    for inputs, labels, mean, stdev in seen:
        assert (inputs.shape, inputs.dtype) == ((4, 3, 80, 96), torch.float32)
        assert (labels.shape, labels.dtype) == ((4, 80, 96), torch.uint8)
        assert mean.shape == stdev.shape == (4,)
    assert {label for batch in seen for label in np.unique(batch[1]).tolist()} <= {*range(81), 255}
    assert sum(len(batch[0]) for batch in test["dataloader"]) == test["length"]
    assert proxy.total <= SHARDS + 20
    assert SECRET_KEY not in repr(s3) + repr(s3def) + repr(train)
