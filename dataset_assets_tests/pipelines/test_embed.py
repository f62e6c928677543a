"""`embed`: one shard of embeddings for each source shard, computed once and never mixed."""

import json
import os
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open

from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.errors import (
    ForeignFiles,
    MissingColumn,
    ObjectMissing,
    PlanMismatch,
    SetInUse,
    ShardCorrupt,
    SourceError,
    UnknownName,
)
from dataset_assets.pipelines.embed.embed import embed
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.pipelines.embed.worker import EmbedJob, embed_shards
from dataset_assets.pipelines.verify.verify import verify
from dataset_assets.records.shards import ShardTask
from dataset_assets.shards.commits import read_manifest, write_manifest
from dataset_assets.shards.lease import Lease
from dataset_assets.shards.reading import read_rows
from dataset_assets.storage.store import open_store
from dataset_assets_tests.loaders.staged_partitions import SetSpec, payload, write_set

SPEC = SetSpec(counts=(7, 5, 6), failed=1, images=True, broken=frozenset({3, 8}))
SERIAL = EmbedOptions(batch_size=4, distributor="serial")


def source_set(folder, spec=SPEC):
    store = open_store(str(folder))
    write_set(store, spec)
    return store


def arrays_of(folder):
    """Return the bytes of everything but records, which hold times."""
    store = open_store(str(folder))
    return {
        info.key: store.read(info.key)
        for info in store.list("")
        if not info.key.endswith("_stats.json")
    }


def times_of(folder, suffix):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob(f"*{suffix}")}


def test_every_sample_has_an_array_or_a_cause(tmp_path):
    source = source_set(tmp_path / "source")
    report = embed(source, str(tmp_path / "out"), options=SERIAL)
    assert (report.samples, report.successes, report.made) == (18, 16, 3)
    assert report.causes == {"not_image": 2}
    index = EmbeddingSet(str(tmp_path / "out")).index.to_pylist()
    assert [row["key"] for row in index] == [f"s{number:06}" for number in range(18)]
    assert [row["cause"] for row in index if row["cause"]] == ["not_image"] * 2
    assert verify(str(tmp_path / "out")) == []


def test_arrays_are_those_of_the_encoder_and_other_readers_see_them(tmp_path):
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    found = EmbeddingSet(str(tmp_path / "out"))
    encoder = open_encoder("perceptual")
    for number in (0, 7, 17):
        expected = encoder.encode([encoder.prepare(payload(SPEC, number), None)])
        for field in ("embedding", "phash"):
            np.testing.assert_array_equal(
                found.read([f"s{number:06}"], field)[0], expected[field][0]
            )
    with safe_open(str(tmp_path / "out" / "00001.safetensors"), "np") as opened:
        assert sorted(opened.keys()) == ["embedding", "phash"]
        assert opened.get_tensor("embedding").shape == (4, 216)
        assert json.loads(opened.metadata()["identity"])["encoder"] == "perceptual"
    rows = pq.read_table(tmp_path / "out" / "00001.parquet").to_pylist()
    with safe_open(str(tmp_path / "out" / "00001.safetensors"), "np") as opened:
        tensor = opened.get_tensor("embedding")
    for row in rows:
        if row["status"] == "success":
            np.testing.assert_array_equal(
                tensor[row["row"]], found.read([row["key"]], "embedding")[0]
            )


def test_reading_by_key_position_batch_and_table_agree(tmp_path):
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    found = EmbeddingSet(str(tmp_path / "out"))
    everything = found.take(range(len(found)), "embedding")
    shuffled = np.random.default_rng(0).permutation(len(found))
    keys = [found.keys[position] for position in shuffled]
    np.testing.assert_array_equal(found.read(keys, "embedding"), everything[shuffled])
    batches = list(found.batches(5, "embedding"))
    assert [len(names) for names, _ in batches] == [5, 5, 5, 1]
    np.testing.assert_array_equal(np.concatenate([values for _, values in batches]), everything)
    table = found.embedding_table("embedding")
    assert table["key"].to_pylist() == found.keys
    flat = table["embedding"].combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(flat.reshape(len(found), -1), everything)
    with pytest.raises(SourceError, match="expected a known key, got 'nobody'"):
        found.read(["nobody"])
    with pytest.raises(SourceError, match="expected positions of 0 to 15"):
        found.take([16])


def test_nothing_is_computed_twice(tmp_path):
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    before = times_of(tmp_path / "out", "")
    again = embed(source, str(tmp_path / "out"), options=SERIAL)
    assert (again.made, again.kept) == (0, 3)
    assert times_of(tmp_path / "out", ".safetensors").items() <= before.items()


def test_files_are_equal_for_any_number_of_workers_and_batches(tmp_path):
    source = source_set(tmp_path / "source")
    for name, options in {
        "serial": SERIAL,
        "one": EmbedOptions(batch_size=4, processes_count=1, prepare_threads=1),
        "four": EmbedOptions(batch_size=4, processes_count=4, prepare_threads=3),
    }.items():
        for encoder in ("perceptual", "efficientnet_lite0"):
            embed(source, str(tmp_path / encoder / name), encoder, options=options)
    for encoder in ("perceptual", "efficientnet_lite0"):
        expected = arrays_of(tmp_path / encoder / "serial")
        assert arrays_of(tmp_path / encoder / "one") == expected
        assert arrays_of(tmp_path / encoder / "four") == expected


def test_a_changed_shard_is_computed_again_and_no_other(tmp_path):
    source_set(tmp_path / "source")
    embed(str(tmp_path / "source"), str(tmp_path / "out"), options=SERIAL)
    before = times_of(tmp_path / "out", ".safetensors")
    replaced = SetSpec(counts=(7, 5, 6), failed=1, images=True, broken=frozenset({3}))
    source_set(tmp_path / "source", replaced)
    report = embed(str(tmp_path / "source"), str(tmp_path / "out"), options=SERIAL)
    assert (report.made, report.kept, report.causes) == (1, 2, {"not_image": 1})
    after = times_of(tmp_path / "out", ".safetensors")
    assert {name for name in after if after[name] != before[name]} == {"00001.safetensors"}
    assert verify(str(tmp_path / "out")) == []


def test_a_changed_encoder_computes_everything_again(tmp_path):
    source = source_set(tmp_path / "source", SetSpec(counts=(3, 2), images=True))
    out = str(tmp_path / "out")
    embed(source, out, "efficientnet_lite0", {"normalize": False}, options=SERIAL)
    report = embed(source, out, "efficientnet_lite0", options=SERIAL)
    assert (report.made, report.kept) == (2, 0)
    norms = np.linalg.norm(EmbeddingSet(out).take(range(5)), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_shards_that_the_source_lost_are_deleted(tmp_path):
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    source.delete("00002_stats.json")
    write_manifest(source, fingerprint="0" * 64, output_format="webdataset")
    report = embed(source, str(tmp_path / "out"), options=SERIAL)
    assert (report.made, report.kept, len(report.manifest.shards)) == (0, 2, 2)
    assert not (tmp_path / "out" / "00002.safetensors").exists()
    assert verify(str(tmp_path / "out")) == []


def test_outdated_embeddings_are_not_read_while_others_are_computed(tmp_path):
    """A run that fails in the middle leaves no set that mixes both."""
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    source_set(tmp_path / "source", SetSpec(counts=(7, 5, 6), images=True, prefix="t"))
    (tmp_path / "source" / "00001.tar").unlink()
    with pytest.raises(Exception, match="00001"):
        embed(source, str(tmp_path / "out"), options=SERIAL)
    with pytest.raises(ObjectMissing):
        EmbeddingSet(str(tmp_path / "out"))


def test_files_of_another_run_under_an_old_record_are_refused(tmp_path):
    source = source_set(tmp_path / "source", SetSpec(counts=(4,), images=True))
    embed(source, str(tmp_path / "out"), options=SERIAL)
    other = source_set(tmp_path / "other", SetSpec(counts=(4,), images=True, prefix="t"))
    embed(other, str(tmp_path / "other out"), options=SERIAL)
    stolen = (tmp_path / "other out" / "00000.safetensors").read_bytes()
    assert len(stolen) == (tmp_path / "out" / "00000.safetensors").stat().st_size
    (tmp_path / "out" / "00000.safetensors").write_bytes(stolen)
    with pytest.raises(ShardCorrupt, match="expected arrays of"):
        EmbeddingSet(str(tmp_path / "out")).take([0], "embedding")
    assert verify(str(tmp_path / "out")) != []


def test_damaged_files_are_found_by_name(tmp_path):
    source = source_set(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    path = tmp_path / "out" / "00001.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    assert "00001" in verify(str(tmp_path / "out"))[0]
    with pytest.raises(ShardCorrupt, match="00001.safetensors"):
        EmbeddingSet(str(tmp_path / "out")).take([8], "embedding")
    report = embed(source, str(tmp_path / "out"), options=SERIAL)
    assert (report.made, report.kept) == (1, 2)
    assert verify(str(tmp_path / "out")) == []


def test_folders_of_others_are_refused_and_left_alone(tmp_path):
    source = source_set(tmp_path / "source")
    with pytest.raises(PlanMismatch, match="expected a folder for embeddings, got a set of webd"):
        embed(source, source, options=SERIAL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "00001.parquet").write_bytes(b"of a person")
    with pytest.raises(ForeignFiles, match="00001.parquet; nothing was changed"):
        embed(source, str(tmp_path / "mine"), options=SERIAL)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["00001.parquet"]
    embed(source, str(tmp_path / "out"), options=SERIAL)
    with pytest.raises(PlanMismatch, match="expected embeddings of efficientnet_lite0, got those"):
        embed(source, str(tmp_path / "out"), "efficientnet_lite0", options=SERIAL)
    with Lease(open_store(str(tmp_path / "out"))), pytest.raises(SetInUse):
        embed(source, str(tmp_path / "out"), options=SERIAL)


def test_wrong_arguments_are_named(tmp_path):
    source = source_set(tmp_path / "source")
    with pytest.raises(UnknownName, match="unknown encoder 'clap'"):
        embed(source, str(tmp_path / "out"), "clap")
    with pytest.raises(ObjectMissing):
        embed(str(tmp_path / "nothing"), str(tmp_path / "out"))
    with pytest.raises(ShardCorrupt, match="expected a set of embeddings, got one of webdataset"):
        EmbeddingSet(source)


def test_embeddings_on_s3_are_those_of_a_folder(tmp_path, moto, monkeypatch):
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    source = source_set(tmp_path / "source")
    place = f"s3://{moto.bucket('embeddings')}/out"
    embed(source, str(tmp_path / "out"), options=SERIAL)
    embed(source, place, options=EmbedOptions(batch_size=4, processes_count=2))
    assert arrays_of(place) == arrays_of(tmp_path / "out")
    local, remote = EmbeddingSet(str(tmp_path / "out")), EmbeddingSet(place)
    positions = [15, 0, 7, 7, 3]
    for field in ("embedding", "phash"):
        np.testing.assert_array_equal(remote.take(positions, field), local.take(positions, field))
    assert verify(place) == []


KILLED = """
import sys
from dataset_assets.pipelines.embed.embed import embed
from dataset_assets.pipelines.embed.options import EmbedOptions

if __name__ == "__main__":
    embed(sys.argv[1], sys.argv[2], options=EmbedOptions(batch_size=2, processes_count=2))
"""


@pytest.mark.parametrize(
    "kills", [6, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_arrays_are_equal_after_kills_at_any_moment(tmp_path, warm_python, kills):
    spec = SetSpec(counts=(6,) * 12, images=True, padding=0)
    source = source_set(tmp_path / "source", spec)
    embed(source, str(tmp_path / "clean"), options=EmbedOptions(batch_size=2, processes_count=2))
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    rng = random.Random(kills)
    killed = 0
    for number in range(kills):
        out = tmp_path / f"out-{number}"
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = warm_python.start(
            str(script), str(tmp_path / "source"), str(out), env=environment
        )
        time.sleep(0.2 + 1.3 * rng.random())
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        report = embed(source, str(out), options=EmbedOptions(batch_size=2, processes_count=2))
        assert report.successes == 72
        assert arrays_of(out) == arrays_of(tmp_path / "clean")
        assert verify(str(out)) == []
    assert killed


def test_missing_caption_column_is_named(tmp_path, monkeypatch):
    source = source_set(tmp_path / "source")
    encoder = open_encoder("perceptual")
    monkeypatch.setattr(type(encoder), "medium", "image_and_text")
    with pytest.raises(MissingColumn, match="expected a column 'caption' to encode, got"):
        embed(source, str(tmp_path / "out"), options=SERIAL)


def test_weights_that_change_during_a_run_are_refused(tmp_path):
    source = source_set(tmp_path / "source", SetSpec(counts=(3,), images=True))
    report = embed(source, str(tmp_path / "out"), options=SERIAL)
    described = replace(report.description, identity={"encoder": "perceptual", "version": 0})
    job = EmbedJob(
        source_url=source.url,
        encoder="perceptual",
        encoder_options={},
        description=described,
        options=SERIAL,
    )
    with pytest.raises(PlanMismatch, match="expected the weights and settings that the run began"):
        list(embed_shards(job, None, iter([ShardTask(0, str(tmp_path / "out"))])))


def test_source_rows_are_untouched(tmp_path):
    source = source_set(tmp_path / "source")
    before = arrays_of(tmp_path / "source")
    embed(source, str(tmp_path / "out"), options=SERIAL)
    assert arrays_of(tmp_path / "source") == before
    manifest = read_manifest(source)
    assert sum(1 for record in manifest.shards for _ in read_rows(source, record)) == 21
