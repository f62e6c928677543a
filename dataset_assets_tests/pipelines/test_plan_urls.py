import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.errors import (
    ConfigurationError,
    DiskFull,
    EmptyList,
    ListChanged,
    MissingColumn,
    ObjectMissing,
    PlanMismatch,
    UnreadableList,
)
from dataset_assets.pipelines.download import plan_parts
from dataset_assets.pipelines.download import plan_urls as module
from dataset_assets.pipelines.download._fingerprint import shard_fingerprint
from dataset_assets.pipelines.download.plan_parts import cut, plan_once, read_shard
from dataset_assets.pipelines.download.plan_urls import load_plan, plan_urls
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores import local
from dataset_assets.urls.lists import ListOptions

TXT = ListOptions()


@pytest.fixture
def lists(tmp_path):
    """A function that writes a list of numbered urls, and gives back the folder."""
    folder = tmp_path / "lists"
    folder.mkdir()

    def write(name, rows, first=0):
        (folder / name).write_text(
            "".join(f"http://h/{name}/{n}\n" for n in range(first, first + rows))
        )
        return str(folder)

    return write


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    yield open_store(
        str(tmp_path / "plan") if request.param == "local" else f"memory://{tmp_path.name}/plan"
    )
    MemoryFileSystem.store.clear()


def urls_of(store, plan=None):
    plan = plan or load_plan(store)
    shards = [
        shard
        for part in plan.parts
        for shard in range(part.first_shard, part.first_shard + part.shard_count)
    ]
    return [read_shard(store, plan, shard)["url"].to_pylist() for shard in shards]


def content_of(store):
    return {info.key: store.read(info.key) for info in store.list() if info.key != "seen.json"}


def test_plan_has_every_row_once_and_in_order(store, lists):
    folder = lists("a.txt", 25)
    lists("b.txt", 10)
    lists("c.txt", 3)
    plan = plan_urls(folder, store, TXT, samples_per_shard=10)
    assert [len(urls) for urls in urls_of(store)] == [10, 10, 5, 10, 3]
    expected = [
        f"http://h/{name}/{n}"
        for name, rows in (("a.txt", 25), ("b.txt", 10), ("c.txt", 3))
        for n in range(rows)
    ]
    assert [url for urls in urls_of(store) for url in urls] == expected
    assert [(part.first_shard, part.shard_count, part.rows) for part in plan.parts] == [
        (0, 3, 25),
        (3, 1, 10),
        (4, 1, 3),
    ]
    assert (plan.rows, plan.shard_count) == (38, 5)
    assert load_plan(store) == plan


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=3), min_size=1, max_size=3),
    st.integers(1, 15),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_plan_invariants_hold_when_lists_arrive_over_time(
    tmp_path, rounds, samples_per_shard, shards_per_file, first_shard
):
    folder, store = tmp_path / "lists", open_store("memory://invariants")
    MemoryFileSystem.store.clear()
    for old in folder.glob("*"):
        old.unlink()
    folder.mkdir(exist_ok=True)
    before, expected, number = None, [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_parts, "SHARDS_PER_FILE", shards_per_file)
        for arriving in rounds:
            for rows in arriving:
                name = f"{number:03d}.txt"
                number += 1
                (folder / name).write_text("".join(f"{name}/{n}\n" for n in range(rows)))
                expected += [
                    [f"{name}/{n}" for n in range(start, min(start + samples_per_shard, rows))]
                    for start in range(0, rows, samples_per_shard)
                ]
            if not expected:
                with pytest.raises(EmptyList):
                    plan_urls(
                        str(folder),
                        store,
                        TXT,
                        samples_per_shard=samples_per_shard,
                        first_shard=first_shard,
                    )
                continue
            files_before = content_of(store)
            plan = plan_urls(
                str(folder),
                store,
                TXT,
                samples_per_shard=samples_per_shard,
                first_shard=first_shard,
            )
            assert urls_of(store, plan) == expected
            assert plan.rows == sum(map(len, expected))
            assert plan.parts[0].first_shard == first_shard
            fingerprints = [each for part in plan.parts for each in part.shard_fingerprints]
            assert fingerprints == [
                shard_fingerprint(read_shard(store, plan, first_shard + n))
                for n in range(len(expected))
            ]
            if before is not None:
                assert plan.parts[: len(before.parts)] == before.parts
                after = content_of(store)
                assert all(
                    after[name] == data
                    for name, data in files_before.items()
                    if name != "plan.json"
                )
            assert (
                plan_urls(
                    str(folder),
                    store,
                    TXT,
                    samples_per_shard=samples_per_shard,
                    first_shard=first_shard,
                )
                == plan
            )
            before = plan


def test_plan_has_the_same_bytes_when_made_twice(tmp_path, lists):
    folder = lists("a.txt", 700)
    stores = [open_store(str(tmp_path / name)) for name in ("one", "two")]
    for store in stores:
        plan_urls(folder, store, TXT, samples_per_shard=7)
    assert content_of(stores[0]) == content_of(stores[1])
    assert len(load_plan(stores[0]).parts[0].files) == 2


def test_columns_stand_in_the_order_of_the_output_with_their_types(store, tmp_path):
    rows = [
        {"URL": f"u{n}", "TEXT": f"t{n}", "tags": [["x"], []], "score": n / 2, "md5": "0"}
        for n in range(5)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    options = ListOptions(
        input_format="parquet",
        url_col="URL",
        caption_col="TEXT",
        save_additional_columns=("tags", "score"),
        verify_hash_col="md5",
    )
    plan = plan_urls(str(tmp_path / "a.parquet"), store, options, samples_per_shard=2)
    assert plan.columns == ("tags", "score", "md5", "caption", "url")
    assert plan.has_caption
    shard = read_shard(store, plan, 2)
    assert shard.to_pylist() == [
        {"tags": [["x"], []], "score": 2.0, "md5": "0", "caption": "t4", "url": "u4"}
    ]
    assert shard.schema.field("tags").type == pa.list_(pa.list_(pa.string()))


@pytest.mark.parametrize(
    "rows",
    [
        ["a", "b", None],
        [{"url": "a"}, {"url": "b"}, {"url": None}],
        pa.table({"url": ["a", "b", None]}),
    ],
)
def test_list_in_memory_is_planned_like_a_file(store, rows):
    plan = plan_urls(rows, store, TXT, samples_per_shard=2)
    assert urls_of(store) == [["a", "b"], [None]]
    assert plan_urls(rows, store, TXT, samples_per_shard=2) == plan
    with pytest.raises(ListChanged, match="memory was planned with 3 rows"):
        plan_urls(["other"], store, TXT, samples_per_shard=2)


def test_plan_for_one_run_has_the_same_parts_as_a_lasting_one(store, lists, tmp_path):
    folder = lists("a.txt", 25)
    lists("b.txt", 0)
    lists("c.txt", 3)
    lasting = plan_urls(folder, store, TXT, samples_per_shard=10, first_shard=4)
    once = open_store(str(tmp_path / "once"))
    assert plan_once(folder, once, TXT, samples_per_shard=10, first_shard=4) == lasting
    stored = {name: data for name, data in content_of(store).items() if name != "plan.json"}
    assert content_of(once) == stored
    with pytest.raises(EmptyList, match=r"no rows in memory"):
        plan_once([], once, TXT, samples_per_shard=10)


def test_changed_list_is_refused_and_nothing_is_changed(store, lists):
    folder = lists("a.txt", 10)
    plan_urls(folder, store, TXT, samples_per_shard=4)
    before = content_of(store)
    for rows, first in ((10, 1), (11, 0), (9, 0)):
        lists("a.txt", rows, first)
        lists("new.txt", 5)
        with pytest.raises(
            ListChanged,
            match=r"a\.txt was planned with 10 rows.*give the changed list another name",
        ):
            plan_urls(folder, store, TXT, samples_per_shard=4)
        assert content_of(store) == before


def test_vanished_list_keeps_its_shards(store, lists, tmp_path):
    folder = lists("a.txt", 10)
    lists("b.txt", 10)
    plan = plan_urls(folder, store, TXT, samples_per_shard=4)
    (tmp_path / "lists" / "a.txt").unlink()
    assert plan_urls(folder, store, TXT, samples_per_shard=4) == plan
    lists("c.txt", 1)
    assert [
        part.first_shard for part in plan_urls(folder, store, TXT, samples_per_shard=4).parts
    ] == [0, 3, 6]


def test_moved_list_is_not_planned_again(store, lists, tmp_path):
    folder = lists("a.txt", 10)
    plan = plan_urls(folder, store, TXT, samples_per_shard=4)
    (tmp_path / "lists").rename(tmp_path / "moved")
    assert plan_urls(str(tmp_path / "moved"), store, TXT, samples_per_shard=4) == plan
    assert len([info for info in store.list() if info.key.startswith("part-")]) == 1


def test_copied_list_is_planned_as_often_as_it_is_there(store, lists, tmp_path):
    folder = lists("a.txt", 10)
    (tmp_path / "lists" / "b.txt").write_bytes((tmp_path / "lists" / "a.txt").read_bytes())
    plan = plan_urls(folder, store, TXT, samples_per_shard=4)
    assert plan.rows == 20
    assert plan.parts[0].fingerprint == plan.parts[1].fingerprint


def test_empty_list_is_passed_over_until_it_has_rows(store, lists, tmp_path, caplog):
    folder = lists("a.txt", 3)
    lists("b.txt", 0)
    assert [part.rows for part in plan_urls(folder, store, TXT).parts] == [3]
    assert "b.txt has no rows" in caplog.text
    lists("b.txt", 2)
    assert [part.rows for part in plan_urls(folder, store, TXT).parts] == [3, 2]


def test_no_rows_at_all_is_one_clear_error(store, lists):
    with pytest.raises(EmptyList, match=r"no rows in .*a\.txt: expected at least one URL"):
        plan_urls(lists("a.txt", 0), store, TXT)
    with pytest.raises(EmptyList, match="no rows in memory"):
        plan_urls([], store, TXT)
    with pytest.raises(ObjectMissing):
        load_plan(store)


@pytest.mark.parametrize(
    ("options", "samples", "name"),
    [
        (ListOptions(), 5, "samples_per_shard"),
        (ListOptions(input_format="csv", caption_col="c"), 4, "columns"),
        (ListOptions(input_format="csv", save_additional_columns=("c",)), 4, "columns"),
    ],
)
def test_other_options_are_refused_for_a_plan_that_exists(store, lists, options, samples, name):
    folder = lists("a.txt", 10)
    plan_urls(folder, store, TXT, samples_per_shard=4)
    with pytest.raises(
        ConfigurationError,
        match=f"was made with {name} .*, got .*; use the same value, or another folder",
    ):
        plan_urls(f"{folder}/a.txt", store, options, samples_per_shard=samples)
    with pytest.raises(ConfigurationError, match="at least 1, got 0"):
        plan_urls(folder, store, TXT, samples_per_shard=0)


def test_known_list_is_not_read_again_when_size_and_time_are_those_of_a_settled_file(
    store, lists, tmp_path, monkeypatch
):
    folder = lists("a.txt", 10)
    path = tmp_path / "lists" / "a.txt"
    reads = []
    fingerprint = shard_fingerprint
    monkeypatch.setattr(
        module, "shard_fingerprint", lambda table: reads.append(table) or fingerprint(table)
    )
    plan = plan_urls(folder, store, TXT)
    plan_urls(folder, store, TXT)
    assert len(reads) == 1  # too young to be trusted
    os.utime(path, (1e9, 1e9))
    plan_urls(folder, store, TXT)
    assert len(reads) == 2
    assert plan_urls(folder, store, TXT) == plan
    assert len(reads) == 2
    os.utime(path, (1e9 + 1, 1e9 + 1))
    plan_urls(folder, store, TXT)
    assert len(reads) == 3
    store.write("seen.json", b"{ cut")
    plan_urls(folder, store, TXT)
    assert len(reads) == 4


def test_old_plan_stays_readable_when_planning_fails_at_any_write(tmp_path, lists, monkeypatch):
    folder = lists("a.txt", 30)
    store = open_store(str(tmp_path / "plan"))
    plan = plan_urls(folder, store, TXT, samples_per_shard=2)
    old = urls_of(store)
    lists("b.txt", 400)
    real = local.os.writev
    for failing in range(40):
        calls = []

        def write(descriptor, parts, calls=calls, failing=failing):
            calls.append(1)
            if len(calls) > failing:
                raise OSError(28, "No space left on device")
            return real(descriptor, parts)

        with monkeypatch.context() as patch:
            patch.setattr(local.os, "writev", write)
            try:
                plan_urls(folder, store, TXT, samples_per_shard=2)
            except DiskFull:
                assert load_plan(store) == plan
                assert urls_of(store, plan) == old
                continue
            break
    again = plan_urls(folder, store, TXT, samples_per_shard=2)
    assert again.parts[:1] == plan.parts
    fresh = open_store(str(tmp_path / "fresh"))
    plan_urls(folder, fresh, TXT, samples_per_shard=2)
    assert content_of(fresh) == content_of(store)


@pytest.mark.parametrize("problem", ["unreadable", "missing column", "changed"])
def test_old_plan_stays_when_a_new_list_can_not_be_read(store, tmp_path, problem, monkeypatch):
    options = ListOptions(input_format="jsonl", save_additional_columns=())
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"url": "a"}\n' * 5)
    plan = plan_urls(str(folder), store, options, samples_per_shard=2)
    (folder / "b.jsonl").write_text(
        {
            "unreadable": "nonsense\n",
            "missing column": '{"URL": "b"}\n',
            "changed": '{"url": "b"}\n',
        }[problem]
        * 5
    )
    if problem == "changed":
        real = module._Planner._shards

        def growing(self, each):
            for shard in real(self, each):
                with (folder / "b.jsonl").open("a") as file:
                    file.write("\n")
                yield shard

        monkeypatch.setattr(module._Planner, "_shards", growing)
        os.utime(folder / "a.jsonl", (1e9, 1e9))
        store.write("seen.json", json.dumps({str(folder / "a.jsonl"): [65, 1e9]}).encode())
    with pytest.raises((UnreadableList, MissingColumn, ListChanged), match=r"b\.jsonl"):
        plan_urls(str(folder), store, options, samples_per_shard=2)
    assert load_plan(store) == plan
    assert urls_of(store, plan) == [["a", "a"], ["a", "a"], ["a"]]


def test_other_process_is_noticed_when_it_plans_at_the_same_time(store, lists):
    folder = lists("a.txt", 10)
    plan_urls(folder, store, TXT, samples_per_shard=4)
    lists("b.txt", 10)
    other = lists("c.txt", 10)

    def plan_c(rows, size):
        if not planned:
            planned.append(plan_urls(f"{other}/c.txt", store, TXT, samples_per_shard=4))

    planned = []
    with pytest.raises(PlanMismatch, match="at the same time; run again"):
        plan_urls(f"{folder}/b.txt", store, TXT, samples_per_shard=4, progress=plan_c)
    assert load_plan(store) == planned[0]
    final = plan_urls(folder, store, TXT, samples_per_shard=4)
    assert [url for urls in urls_of(store, final) for url in urls] == [
        f"http://h/{name}/{n}" for name in ("a.txt", "c.txt", "b.txt") for n in range(10)
    ]


def test_progress_is_reported_with_rows_and_bytes(store, lists):
    seen = []
    plan_urls(
        lists("a.txt", 25),
        store,
        TXT,
        samples_per_shard=10,
        progress=lambda rows, size: seen.append((rows, size)),
    )
    assert [rows for rows, _ in seen] == [10, 20, 25]
    assert [size for _, size in seen] == sorted(size for _, size in seen)


def test_shard_that_is_not_planned_is_named(store, lists):
    plan = plan_urls(lists("a.txt", 5), store, TXT, samples_per_shard=2, first_shard=7)
    assert read_shard(store, plan, 9)["url"].to_pylist() == ["http://h/a.txt/4"]
    for shard in (-1, 0, 6, 10):
        with pytest.raises(ConfigurationError, match=rf"shard {shard}: .* of the plan \(7 to 9\)"):
            read_shard(store, plan, shard)


def test_plan_of_another_version_is_refused(store, lists):
    plan_urls(lists("a.txt", 5), store, TXT)
    raw = json.loads(store.read("plan.json"))
    store.write("plan.json", json.dumps({**raw, "schema_version": 99}).encode())
    with pytest.raises(PlanMismatch, match="expected schema version 1 at most, got 99"):
        load_plan(store)


def test_credentials_of_a_list_are_stored_nowhere(store):
    MemoryFileSystem().pipe_file("/me:hunter2@host/lists/a.txt", b"http://h/a\n")
    plan = plan_urls("memory://me:hunter2@host/lists", store, TXT)
    assert [part.name for part in plan.parts] == ["memory://host/lists/a.txt"]
    assert urls_of(store) == [["http://h/a"]]
    assert not [info.key for info in store.list() if b"hunter2" in store.read(info.key)]


@given(st.lists(st.integers(0, 20), max_size=8), st.integers(1, 12))
@settings(deadline=None)
def test_cut_keeps_every_row_in_order_whatever_the_batches(batches, rows):
    tables, number = [], 0
    for size in batches:
        tables.append(pa.table({"n": pa.array(range(number, number + size), pa.int64())}))
        number += size
    shards = [shard["n"].to_pylist() for shard in cut(iter(tables), rows)]
    assert [n for shard in shards for n in shard] == list(range(number))
    assert all(len(shard) == rows for shard in shards[:-1])
    assert all(0 < len(shard) <= rows for shard in shards)
