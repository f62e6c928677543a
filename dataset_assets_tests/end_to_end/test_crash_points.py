"""Die at each step that a download takes on its stores, and run again.

Nothing is lost, mixed or fetched twice, and the bytes are those of a clean run. A point is the n-th
step of a name, because a shard is committed while the next one is being written: the steps of one
shard have a fixed order, those of two shards do not. There are two ways to die. Within this
process, every kind of step is tried in seconds: from that step on, nothing that the dead code does
has an effect. SIGKILL of a separate process proves that this is realistic: at some points by
default, at all points with `-m slow`.
"""

import gc
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import pytest

from dataset_assets import download, registry
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import list_records, read_manifest
from dataset_assets.shards.reading import read_samples
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.failing_store import FailingStore, Killed, Steps

ROWS, ROWS_PER_SHARD = 8, 4
GONE = frozenset({3})
BUSY = (1, 6)  # one row of each shard: 503 at first, an image later
OPTIONS = {
    "input_format": "parquet",
    "caption_col": "caption",
    "save_additional_columns": ["number"],
    "number_sample_per_shard": ROWS_PER_SHARD,
    "image_size": 32,
    "distributor": "serial",
    "thread_count": 1,  # so that the steps always come in the same order
    "codec_threads": 0,
    "area_kernel": "opencv",  # loads faster
}
RETRY = {"retry_failed": ["transient"]}
SECOND = {
    "user_agent_token": "second"
}  # tells requests of the run after from late ones of the run that died
FORMATS = ("webdataset", "files", "parquet", "tfrecord")
EVERY_STEP = [pytest.mark.slow, pytest.mark.timeout(1800)]


class PointSteps(Steps):
    """Ends the run before one step, on any thread: within this process, or by SIGKILL."""

    def __init__(self, point=None, *, for_real=False):
        super().__init__()
        self.point, self.for_real, self.seen, self.lock = point, for_real, Counter(), Lock()

    def take(self, name):
        name = re.sub(r"_plan/[^/]*", "_plan/*", name)  # named after process and chance
        with self.lock:
            if (name, self.seen[name]) == self.point and self.for_real:
                os.kill(os.getpid(), signal.SIGKILL)
            self.dead = self.dead or (name, self.seen[name]) == self.point
            if self.dead and not name.startswith("discard"):
                raise Killed(f"at {self.point}")
            self.seen[name] += 1
            self.names.append(name)
            return not self.dead


@contextmanager
def dead_are_silent() -> Iterator[None]:
    """Let writers of dead runs complain to nobody when they are collected."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = hook


@contextmanager
def failing_stores(steps: Steps) -> Iterator[None]:
    """Count the steps of all stores that are opened."""
    load = registry.load

    def load_failing(package, name):
        role = load(package, name)
        return (lambda url: FailingStore(role(url), steps)) if package == "store" else role

    registry.load = load_failing
    try:
        yield
    finally:
        registry.load = load


def run(source, out, output_format, steps=None, **options):
    """Download, on stores that count and fail."""
    with failing_stores(steps or Steps()):
        return download(
            source, output_folder=str(out), output_format=output_format, **OPTIONS, **options
        )


def die(source, out, output_format, point, options):
    """Run in a process of its own, and be killed there."""
    run(source, out, output_format, PointSteps(tuple(point), for_real=True), **options)


def kill_for_real(warm_python, runs, points, **options):
    """Start a run for each point that is killed there; two at a time."""
    code = f"import json, sys; from {__name__} import die; die(*json.loads(sys.argv[1]))"
    for first in range(0, len(points), 2):
        running = {}
        for point in points[first : first + 2]:
            arguments = [runs.source, str(runs.out(point)), runs.output_format, point, options]
            running[point] = warm_python.start("-c", code, json.dumps(arguments))
        for point, process in running.items():
            assert process.wait(60) == -signal.SIGKILL, (point, process.output())


def points_of(names):
    """Return all points of a run in order."""
    seen = Counter()
    found = []
    for name in names:
        found.append((name, seen[name]))
        seen[name] += 1
    return found


def kinds_of(points):
    """Choose the first, the last, and one in the midst of alike points."""
    alike = defaultdict(list)
    for point in points:
        alike[re.sub(r"/.*", "", point[0])].append(point)  # all the members of a folder are alike
    chosen = {
        point for each in alike.values() for point in (each[0], each[len(each) // 2], each[-1])
    }
    return [point for point in points if point in chosen]


def spread(points, some):
    """Choose about `some` of them: the first, one during planning, and so on to the last."""
    planning = [point for point in points if point[0].startswith("append part")]
    return list(
        dict.fromkeys(
            [
                planning[1],
                *(points[round(number * (len(points) - 1) / (some - 1))] for number in range(some)),
            ]
        )
    )


def data(out):
    """Return the hash of every file of the set, except the records, which contain times."""
    found = [
        path
        for path in out.rglob("*")
        if path.is_file() and not str(path.relative_to(out)).startswith("_")
    ]
    kept = [path for path in found if not path.name.endswith("_stats.json")]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept
    }


def records(out):
    """Return the records without what differs from run to run."""
    found = [json.loads(path.read_text()) for path in sorted(out.glob("*_stats.json"))]
    return [
        {
            name: value
            for name, value in record.items()
            if not name.endswith("time") and name != "duration"
        }
        for record in found
    ]


def samples(out):
    """Return the hash of every sample that can be read."""
    store = open_store(str(out))
    return {
        sample.key: hashlib.sha256(sample.payload).hexdigest()
        for record in list_records(store)
        for sample in read_samples(store, record)
    }


def asked(gallery):
    """Count what the run after has asked for."""
    return dict(
        Counter(seen.path for seen in gallery.server.log if "second" in seen.headers["user-agent"])
    )


def paths(numbers):
    return {f"/gone/{number}.jpg" if number in GONE else f"/{number}.jpg" for number in numbers}


def shard_paths(name):
    return paths(range(int(name) * ROWS_PER_SHARD, (int(name) + 1) * ROWS_PER_SHARD))


class Downloads:
    """A download that dies, and the one after it."""

    def __init__(self, gallery, output_format):
        self.gallery, self.output_format = gallery, output_format
        self.source = gallery.list(ROWS, missing=GONE)
        self.clean = gallery.folder / "clean"
        steps = PointSteps()
        run(self.source, self.clean, output_format, steps)
        self.points = points_of(steps.names)

    def out(self, point):
        return self.gallery.folder / f"at {point[1]} {point[0].replace('/', ' ')}"

    def check(self, point):
        """Look at what the death at a point has left, run again, and compare."""
        out = self.out(point)
        committed = {record.name for record in list_records(open_store(str(out)))}
        at_commit = re.fullmatch(r"(?:stage|append|close|commit|write) (\d{5})\W?.*", point[0])
        assert at_commit is None or at_commit[1] not in committed
        assert committed == {"00000", "00001"} or not point[0].endswith(
            ("manifest.json", "_plan/*")
        )
        self.gallery.server.forget()
        report = run(self.source, out, self.output_format, **SECOND)
        expected = set().union(*(shard_paths(name) for name in {"00000", "00001"} - committed))
        assert asked(self.gallery) == dict.fromkeys(expected, 1)
        assert (report.made, report.skipped, report.requests) == (
            2 - len(committed),
            len(committed),
            len(expected),
        )
        check_whole(out, self.clean)
        assert records(out) == records(self.clean)


class Retries:
    """A retry that dies; then a run without the network; then a retry that is left alone."""

    def __init__(self, gallery, output_format):
        self.gallery, self.output_format = gallery, output_format
        self.source = gallery.list(ROWS, missing=GONE)
        self.clean, self.before, counted = (
            gallery.folder / name for name in ("clean", "before", "counted")
        )
        run(self.source, self.clean, output_format)
        for number in BUSY:
            gallery.server.add(f"/{number}.jpg", status=503)
        assert run(self.source, self.before, output_format).causes == {
            "http_server_error": 2,
            "http_not_found": 1,
        }
        for number in BUSY:
            gallery.url(number)
        self.old = samples(self.before)
        assert len(self.old) == ROWS - len(BUSY) - len(GONE)
        steps = PointSteps()
        run(self.source, shutil.copytree(self.before, counted), output_format, steps, **RETRY)
        self.points = points_of(steps.names)
        assert data(counted) == data(self.clean)

    def out(self, point):
        folder = self.gallery.folder / f"at {point[1]} {point[0].replace('/', ' ')}"
        return folder if folder.exists() else shutil.copytree(self.before, folder)

    def check(self, point):
        """Run again without retries: no sample may be missing or fetched. Then retry."""
        out = self.out(point)
        self.gallery.server.forget()
        assert run(self.source, out, self.output_format, **SECOND).skipped == 2
        assert asked(self.gallery) == {}
        assert verify_set(open_store(str(out))) == []
        kept = samples(out)
        assert {key: kept.get(key) for key in self.old} == self.old
        assert set(kept) - set(self.old) <= {key_of(number) for number in BUSY}
        run(self.source, out, self.output_format, **RETRY, **SECOND)
        assert asked(self.gallery) == dict.fromkeys(
            paths(number for number in BUSY if key_of(number) not in kept), 1
        )
        check_whole(out, self.clean)


def key_of(number):
    shard, index = divmod(number, ROWS_PER_SHARD)
    return f"{shard:05d}{index}"


def check_whole(out, clean):
    assert data(out) == data(clean)
    store = open_store(str(out))
    assert verify_set(store) == []
    manifest = read_manifest(store)
    assert (manifest.rows, manifest.successes, manifest.causes) == (
        ROWS,
        ROWS - len(GONE),
        {"http_not_found": len(GONE)},
    )


CASES = {"download": (Downloads, {}), "retry": (Retries, RETRY)}


@pytest.mark.parametrize(
    "output_format",
    ["webdataset", "files", "parquet", pytest.param("tfrecord", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("case", CASES)
def test_next_run_makes_it_whole_when_a_run_died_at_any_step(gallery, case, output_format):
    kind, options = CASES[case]
    runs = kind(gallery, output_format)
    chosen = kinds_of(runs.points)
    assert len(chosen) >= 20
    with dead_are_silent():
        for point in chosen:
            with pytest.raises(Killed):
                run(runs.source, runs.out(point), output_format, PointSteps(point), **options)
            runs.check(point)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("output_format", "some"),
    [
        ("webdataset", 10),
        ("files", 4),
        *(
            pytest.param(output_format, None, marks=EVERY_STEP, id=f"{output_format}-every step")
            for output_format in FORMATS
        ),
    ],
)
def test_next_run_makes_it_whole_when_the_process_was_killed(
    gallery, case, output_format, some, warm_python
):
    kind, options = CASES[case]
    runs = kind(gallery, output_format)
    chosen = spread(kinds_of(runs.points), some) if some else runs.points
    kill_for_real(warm_python, runs, chosen, **options)
    for point in chosen:
        runs.check(point)
        check_tidy(runs, point)


def check_tidy(runs, point):
    """Nothing of dead writers stays once a run has ended: no other run was at work."""
    assert not list(runs.out(point).glob("_*"))


@pytest.mark.parametrize("output_format", FORMATS)
def test_nothing_of_the_dead_run_is_left_when_the_answers_have_changed(gallery, output_format):
    source, out = gallery.list(ROWS_PER_SHARD), gallery.folder / "out"
    with dead_are_silent(), pytest.raises(Killed):
        run(source, out, output_format, PointSteps(("write 00000_stats.json", 0)))
    gallery.server.add("/2.jpg", status=404)
    report = run(source, out, output_format, **SECOND)
    assert (report.successes, report.causes) == (ROWS_PER_SHARD - 1, {"http_not_found": 1})
    assert key_of(2) not in samples(out)
    assert verify_set(open_store(str(out))) == []
