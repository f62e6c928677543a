"""Measure embeddings: random reads, the rate of the encoder, and memory.

    python benchmarks/embeddings.py
    python benchmarks/embeddings.py --parts reads,rate,memory --rounds 5

reads   20,000 vectors of 768 x float16 by key in batches of 64, beside one .pt file per item
rate    `embed` with efficientnet_lite0, one worker, beside a bare loop over the same model: with
        decoded batches, and with decoding in the loop; CPU of one thread each, in turns
memory  peak resident memory of `embed` for sets of 500, 5,000 and 50,000 small images

Ratios are of medians of interleaved rounds.
"""

import argparse
import hashlib
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch
from _planted import landscape

from dataset_assets.embeddings.encoder import Field, open_encoder
from dataset_assets.embeddings.store.description import FILE, FORMAT, Description
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.embeddings.store.writer import Sample, ShardWriter
from dataset_assets.pipelines.embed.embed import embed
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.commits import Tally, write_manifest, write_record
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.shards.writer import WriterOptions
from dataset_assets.storage.store import Store, open_store

PARTS = ("reads", "rate", "memory")
VECTORS = 20_000
SIZE = 768
BATCH = 64
READS = 40  # batches in a round
IMAGES = 192
SHARD = 1000
FINGERPRINT = "0" * 64


def main() -> int:
    options = _parse()
    run = {"reads": measure_reads, "rate": measure_rate, "memory": measure_memory}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            run[part](Path(folder), options.rounds)
    return 0


def measure_reads(folder: Path, rounds: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((VECTORS, SIZE)).astype(np.float16)
    _write_vectors(open_store(str(folder / "set")), vectors)
    (folder / "pt").mkdir()
    for number, vector in enumerate(vectors):
        torch.save(torch.from_numpy(vector.copy()), folder / "pt" / f"{number}.pt")
    opened = EmbeddingSet(str(folder / "set"))
    keys = opened.keys
    rng = np.random.default_rng(1)

    def by_key(chosen: np.ndarray) -> np.ndarray:
        return opened.read([keys[each] for each in chosen])

    def by_file(chosen: np.ndarray) -> np.ndarray:
        paths = [folder / "pt" / f"{each}.pt" for each in chosen]
        return np.stack([torch.load(path, weights_only=True).numpy() for path in paths])

    for way in (by_key, by_file):
        assert (way(np.arange(5, 9)) == vectors[5:9]).all()
    actions = [lambda way=way: way(rng.integers(0, VECTORS, BATCH)) for way in (by_key, by_file)]
    ours, theirs = _interleaved(actions, rounds, READS)
    print(
        f"reads: {BATCH * READS / ours:,.0f} vectors/s by key, "
        f"{BATCH * READS / theirs:,.0f}/s from .pt files: {theirs / ours:.0f} x"
    )


def measure_rate(folder: Path, rounds: int) -> None:
    bodies = [_image(number) for number in range(IMAGES)]
    source = open_store(str(folder / "source"))
    _write_images(source, bodies, shard=IMAGES)
    torch.set_num_threads(1)
    encoder = open_encoder("efficientnet_lite0", {"device": "cpu"})
    prepared = [encoder.prepare(body, None) for body in bodies]
    starts = range(0, IMAGES, 32)
    numbers = iter(range(10_000))

    def bare() -> None:
        for start in starts:
            encoder.encode(prepared[start : start + 32])

    def bare_with_decoding() -> None:
        for start in starts:
            encoder.encode([encoder.prepare(body, None) for body in bodies[start : start + 32]])

    def ours() -> None:
        out = str(folder / f"out-{next(numbers)}")
        options = EmbedOptions(processes_count=1, batch_size=32)
        embed(source, out, "efficientnet_lite0", {"device": "cpu"}, options=options)

    alone, decoding, whole = _interleaved([bare, bare_with_decoding, ours], rounds, 1)
    print(
        f"rate: {IMAGES / whole:.1f} images/s; bare model {IMAGES / alone:.1f} "
        f"({alone / whole:.0%}), with decoding {IMAGES / decoding:.1f} ({decoding / whole:.0%})"
    )


def measure_memory(folder: Path, rounds: int) -> None:
    del rounds
    bodies = [_image(number, side=48) for number in range(200)]
    found = {}
    for count in (500, 5_000, 50_000):
        source = open_store(str(folder / f"source-{count}"))
        _write_images(source, [bodies[each % 200] for each in range(count)], shard=SHARD)
        code = (
            "import resource, sys\n"
            "from dataset_assets import embed\n"
            "from dataset_assets.pipelines.embed.options import EmbedOptions\n"
            "options = EmbedOptions(processes_count=1)\n"
            "embed(sys.argv[1], sys.argv[2], options=options)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        command = [sys.executable, "-c", code, source.url, str(folder / f"out-{count}")]
        found[count] = float(subprocess.run(command, capture_output=True, check=True).stdout)
    print("memory, MiB:", ", ".join(f"{count:,}: {mib:.0f}" for count, mib in found.items()))


def _interleaved(
    actions: list[Callable[[], object]], rounds: int, repeats: int
) -> tuple[float, ...]:
    """Return the median CPU seconds of each action, after a warm-up of each."""
    seconds: list[list[float]] = [[] for _ in actions]
    for action in actions:
        action()
    for _ in range(rounds):
        for action, taken in zip(actions, seconds, strict=True):
            before = _cpu_s()
            for _ in range(repeats):
                action()
            taken.append(_cpu_s() - before)
    return tuple(statistics.median(each) for each in seconds)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _image(number: int, side: int | None = None) -> bytes:
    pixels = landscape(np.random.default_rng(number))
    if side is not None:
        pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def _write_images(store: Store, bodies: list[bytes], shard: int) -> None:
    schema = pa.schema(
        [("key", pa.string()), ("status", pa.string()), ("error_message", pa.string())]
    )
    for number, start in enumerate(range(0, len(bodies), shard)):
        name = f"{number:05}"
        writer = Writer(store, WriterOptions(name=name, schema=schema))
        tally = Tally()
        for place, body in enumerate(bodies[start : start + shard]):
            key = f"{start + place:09}"
            columns = {"key": key, "status": "success", "error_message": None}
            row = Row(place, key, columns, payload=body, extension="jpg")
            tally.add(row)
            writer.write(row)
        write_record(store, tally.record(name, number, FINGERPRINT, writer.commit()))
    write_manifest(store, fingerprint=FINGERPRINT, output_format="webdataset")


def _write_vectors(store: Store, vectors: np.ndarray) -> None:
    fields = {"embedding": Field("F16", (SIZE,))}
    description = Description.of("none", {}, fields, None)
    tally = Tally()
    with ShardWriter(store, "00000", fields, {"fingerprint": FINGERPRINT}) as writer:
        for start in range(0, len(vectors), 1000):
            part = vectors[start : start + 1000]
            keys = [f"{number:09}" for number in range(start, start + len(part))]
            numbers = [writer.expect() for _ in keys]
            writer.add(numbers, [Sample(key, key) for key in keys], "", {"embedding": part})
            for number, key in zip(numbers, keys, strict=True):
                tally.add(Row(number, key, {"status": "success", "error_message": None}))
        files = writer.commit()
    write_record(store, tally.record("00000", 0, FINGERPRINT, files))
    data = description.to_json()
    store.write(FILE, data)
    about = ShardFile(FILE, len(data), hashlib.sha256(data).hexdigest())
    write_manifest(
        store,
        fingerprint=description.fingerprint,
        output_format=FORMAT,
        extra_files=[about],
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Random reads, rate and memory of embeddings.")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated (all)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"--parts: expected {', '.join(PARTS)}, got {unknown[0]!r}")
    if options.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {options.rounds}")
    return options


if __name__ == "__main__":
    sys.exit(main())
