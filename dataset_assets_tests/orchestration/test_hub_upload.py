"""`hub_upload` in the graph: to a folder, and to a Hub on this machine."""

import dagster as dg
import pytest

from dataset_assets.hub.loading import load_published
from dataset_assets.splits.versions import load_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import (
    RECORDINGS,
    Graph,
    failure_of,
    write_recordings,
)
from dataset_assets_tests.support.hub_server import HubServer, in_process

ON_HUB = RECORDINGS.replace(
    "hub: {repo: me/drives}", "hub: {repo: me/drives, target: huggingface, watch_every_s: 60}"
)
CANARY = "hf_canary7f3a9c51e2"


@pytest.fixture
def drives(tmp_path, instance):
    """Four recordings that are split, with a folder to publish to."""
    write_recordings(tmp_path / "data" / "drives", 4)
    graph = Graph.make(tmp_path, 0, instance, RECORDINGS, {})
    assert graph.run("split_archives").success
    return graph


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub_server", token=CANARY) as server:
        in_process(monkeypatch, server, signed_in=False)
        monkeypatch.setenv("HF_TOKEN", CANARY)
        yield server


@pytest.fixture
def on_hub(drives, hub):
    return Graph.make(drives.root.parent, 0, drives.instance, ON_HUB, {})


def _metadata(graph):
    return {
        name: value.value for name, value in graph.materialization("hub_upload").metadata.items()
    }


def test_published_copy_is_loaded_by_anybody_when_made(drives, tmp_path):
    result = drives.run("hub_upload")
    assert result.success
    assert drives.checks(result)["hub_upload_loads"].passed
    folder = drives.root / "hub" / "me" / "drives"
    rows = list(
        load_published(str(folder), "train", streaming=True, cache_dir=str(tmp_path / "cache"))
    )
    manifest = load_split(open_store(str(drives.root / "photos" / "split_archives")))
    assert len(rows) == manifest.splits["train"].samples > 0
    assert [image.size for image in rows[0]["video"]] == [(8, 8)] * 3


def test_publication_is_described_when_made(drives):
    drives.run("hub_upload")
    metadata = _metadata(drives)
    manifest = load_split(open_store(str(drives.root / "photos" / "split_archives")))
    assert metadata["dagster/row_count"] == manifest.samples == 8
    assert metadata["commit"].endswith(metadata["revision"])
    assert (metadata["repo"], metadata["version"], metadata["tag"]) == (
        "me/drives",
        manifest.version[:12],
        f"v{manifest.version[:12]}",
    )
    assert metadata["features"]["video"] == {"feature": {"_type": "Image"}, "_type": "Sequence"}
    assert metadata["card"].startswith("#")
    assert "Drives." in metadata["card"]
    assert metadata["files added"] == metadata["files"] > 0


def test_nothing_is_published_when_it_is_there_already(drives):
    drives.run("hub_upload")
    first, folder = _metadata(drives), drives.root / "hub"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert drives.run("hub_upload").success
    again = _metadata(drives)
    assert (again["revision"], again["files added"], again["bytes added"]) == (
        first["revision"],
        0,
        0,
    )
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_splits_are_asked_for_when_there_are_none(tmp_path, instance):
    graph = Graph.make(tmp_path, 0, instance, RECORDINGS, {})
    assert "materialize split_archives first" in failure_of(graph.run("hub_upload"))


def test_another_folder_is_published_to_when_the_yaml_names_one(drives, tmp_path):
    text = RECORDINGS.replace("repo: me/drives", f"repo: me/drives, root: {tmp_path}/elsewhere")
    graph = Graph.make(drives.root.parent, 0, drives.instance, text, {})
    assert graph.run("hub_upload").success
    assert (tmp_path / "elsewhere" / "me" / "drives" / "refs" / "main").is_file()


def test_one_commit_is_made_and_none_the_second_time_when_published_to_a_hub(on_hub, hub):
    result = on_hub.run("hub_upload")
    assert result.success
    assert on_hub.checks(result)["hub_upload_loads"].passed
    metadata = _metadata(on_hub)
    assert metadata["commit"] == f"{hub.url}/datasets/me/drives/commit/{metadata['revision']}"
    assert "README.md" in hub.files("me/drives")
    uploads, commits = hub.count("PUT", "."), hub.count("POST", "/commit/")
    assert commits == 1
    assert on_hub.run("hub_upload").success
    assert (hub.count("PUT", "."), hub.count("POST", "/commit/")) == (uploads, 1)


def test_token_is_shown_and_stored_nowhere_when_published(on_hub, hub, capfd, caplog):
    on_hub.run("hub_upload")
    hub.fault(
        "POST",
        "/commit/",
        100,
        status=403,
        headers={"X-Error-Message": f"not with the token {CANARY}"},
    )
    (on_hub.root / "drives" / "recording_00" / "camera_0" / "frame_3.pgm").write_bytes(
        b"P5 8 8 255\n" + bytes(64)
    )
    on_hub.run("split_archives")
    assert not on_hub.run("hub_upload").success
    events = [
        record.event_log_entry
        for record in on_hub.instance.get_event_records(
            dg.EventRecordsFilter(dg.DagsterEventType.STEP_FAILURE)
        )
    ]
    assert len(events) == 1
    for run in on_hub.instance.get_runs():
        assert CANARY not in str(run)
        assert CANARY not in "".join(
            dg.serialize_value(entry) for entry in on_hub.instance.all_logs(run.run_id)
        )
    assert CANARY not in "".join([*capfd.readouterr(), caplog.text])
    files = [path for path in on_hub.root.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert hub.leaks == []


def test_token_is_asked_for_before_any_request_when_there_is_none(on_hub, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    hub.forget()
    assert "HF_TOKEN is not set" in failure_of(on_hub.run("hub_upload"))
    assert hub.log == []


class Watcher:
    """Ticks the sensor of a repository as the daemon would."""

    def __init__(self, graph):
        self._graph, self.cursor = graph, None
        self._sensor = graph.definitions.resolve_sensor_def("photos__hub_drift")

    def tick(self):
        resources = {"storage": self._graph.definitions.resources["storage"]}
        with dg.build_sensor_context(
            instance=self._graph.instance, cursor=self.cursor, resources=resources
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data


def test_change_by_somebody_else_is_told_once_when_watched(on_hub, hub):
    watcher = Watcher(on_hub)
    assert "nothing has been published" in watcher.tick().skip_message
    on_hub.run("hub_upload")
    published = _metadata(on_hub)["revision"]
    assert watcher.tick().asset_events == []
    from huggingface_hub import HfApi

    head = HfApi(endpoint=hub.url, token=CANARY).upload_file(
        path_or_fileobj=b"hello", path_in_repo="notes.txt", repo_id="me/drives", repo_type="dataset"
    )
    (event,) = watcher.tick().asset_events
    assert event.asset_key == dg.AssetKey(["photos", "hub_repo"])
    assert (event.metadata["head"].value, event.metadata["revision"].value) == (head.oid, published)
    assert watcher.tick().asset_events == []
    assert on_hub.run("hub_upload").success  # nothing to change: the notes are theirs
    assert "notes.txt" in hub.files("me/drives")
    assert watcher.tick().asset_events == []


def test_vanished_repository_is_told_when_watched(drives):
    drives.run("hub_upload")
    watcher = Watcher(drives)
    (drives.root / "hub" / "me" / "drives" / "refs" / "main").unlink()
    (event,) = watcher.tick().asset_events
    assert event.metadata["head"].value == "none"
    assert watcher.tick().asset_events == []


def test_unreachable_hub_is_a_reason_to_wait_when_watched(on_hub, hub, monkeypatch):
    on_hub.run("hub_upload")
    hub.fault("GET", "/api/datasets/me/drives", 100, status=403)
    assert Watcher(on_hub).tick().skip_message
