"""`embed` with each encoder: what is stored is what the encoder gives, sample by sample."""

import numpy as np
import pytest
import torch

from dataset_assets import registry
from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.errors import MissingDependency
from dataset_assets.pipelines.embed.embed import embed
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.shards.commits import read_manifest
from dataset_assets.shards.reading import read_rows
from dataset_assets.storage.store import open_store
from dataset_assets_tests.embeddings.tiny_models import options_for
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

SPEC = SetSpec(counts=(5, 3), images=True, broken=frozenset({2}))
SERIAL = EmbedOptions(batch_size=4, distributor="serial")


def samples_of(store):
    """Return (key, payload, caption) of the samples; the caption is their path."""
    for record in read_manifest(store).shards:
        for row in read_rows(store, record):
            yield row.key, row.payload, row.columns["path"]


@pytest.mark.parametrize("name", registry.names("encoder"))
def test_what_is_stored_is_what_the_encoder_gives(name, tmp_path):
    options = options_for(name, tmp_path)
    try:
        encoder = open_encoder(name, options)
    except MissingDependency as exc:
        pytest.skip(str(exc))
    source = open_store(str(tmp_path / "source"))
    write_set(source, SPEC)
    column = "path" if "text" in encoder.medium else None
    out = str(tmp_path / "out")
    report = embed(source, out, name, options, caption_column=column, options=SERIAL)
    reads_images = "image" in encoder.medium
    assert report.successes == (7 if reads_images else 8)
    found = EmbeddingSet(out)
    for key, payload, caption in samples_of(source):
        if reads_images and payload == b"no image":
            assert key not in found.keys
            continue
        with torch.inference_mode():
            expected = encoder.encode([encoder.prepare(payload, caption)])
        for field, values in expected.items():
            stored = found.read([key], field)[0]
            np.testing.assert_allclose(stored, values[0], rtol=1e-3, atol=1e-4)
    again = embed(source, out, name, options, caption_column=column, options=SERIAL)
    assert again.made == 0


@pytest.mark.slow
def test_workers_and_this_process_store_equal_bytes(tmp_path):
    options = options_for("clip", tmp_path) | {"dtype": "BF16"}
    source = open_store(str(tmp_path / "source"))
    write_set(source, SPEC)
    bodies = []
    for kind in ("serial", "multiprocessing"):
        out = tmp_path / kind
        processes = EmbedOptions(batch_size=4, distributor=kind, processes_count=2)
        embed(source, str(out), "clip", options, caption_column="path", options=processes)
        bodies.append([path.read_bytes() for path in sorted(out.glob("*.safetensors"))])
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) == 2
