import json
import os

import dagster as dg
import pytest

from dataset_assets_tests.orchestration.graphs import (
    RECORDINGS,
    Graph,
    write_list,
    write_recordings,
)


class Watcher:
    """Ticks a sensor as the daemon would, with its cursor kept."""

    def __init__(self, graph, name="photos__new_lists"):
        self._graph, self.cursor = graph, None
        self._sensor = graph.definitions.resolve_sensor_def(name)

    def tick(self):
        with dg.build_sensor_context(
            instance=self._graph.instance,
            cursor=self.cursor,
            resources={"storage": self._graph.definitions.resources["storage"]},
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data


@pytest.fixture
def watcher(graph):
    return Watcher(graph)


def test_lists_are_planned_once_they_stay_the_same_when_watched(watcher, graph):
    assert watcher.tick().run_requests == []
    assert len(watcher.tick().run_requests) == 1
    job = graph.definitions.resolve_job_def(
        graph.definitions.resolve_sensor_def("photos__new_lists").job_name
    )
    assert job.execute_in_process(instance=graph.instance).success
    assert graph.keys == ["00000", "00001", "00002", "00003"]
    for _ in range(3):
        assert watcher.tick().run_requests == []


def test_new_list_is_planned_when_it_is_complete(watcher, graph):
    for _ in range(2):
        watcher.tick()
    path = write_list(graph.root / "lists", "c", ["photos"] * 3, graph.port)
    assert "have changed" in watcher.tick().skip_message
    with path.open("ab") as file:  # still being copied
        file.write(b"more")
    assert watcher.tick().run_requests == []
    assert len(watcher.tick().run_requests) == 1


def test_rewritten_list_is_seen_when_its_size_is_the_same(watcher, graph):
    for _ in range(2):
        watcher.tick()
    os.utime(graph.root / "lists" / "a.parquet", (1, 1))
    watcher.tick()
    assert len(watcher.tick().run_requests) == 1


def test_cursor_stays_small_when_there_are_many_lists(watcher, graph):
    content = (graph.root / "lists" / "a.parquet").read_bytes()
    for number in range(500):
        (graph.root / "lists" / f"{number}.parquet").write_bytes(content)
    watcher.tick()
    assert len(watcher.cursor) < 100
    assert json.loads(watcher.cursor)[1] is None


def test_missing_lists_are_a_reason_to_wait_when_watched(watcher, graph):
    for path in (graph.root / "lists").iterdir():
        path.unlink()
    data = watcher.tick()
    assert data.run_requests == []
    assert "No file found" in data.skip_message


def test_recordings_are_split_once_they_stay_the_same_when_watched(tmp_path, instance):
    folder = tmp_path / "data" / "drives"
    write_recordings(folder, 2)
    watcher = Watcher(Graph.make(tmp_path, 0, instance, RECORDINGS, {}), "photos__new_data")
    assert watcher.tick().run_requests == []
    assert len(watcher.tick().run_requests) == 1
    assert "have not changed" in watcher.tick().skip_message
    write_recordings(folder, 1, first=2)
    assert "have changed" in watcher.tick().skip_message
    assert len(watcher.tick().run_requests) == 1


def test_manifests_alone_are_looked_at_when_shards_are_watched(tmp_path, instance):
    folder = tmp_path / "data" / "drives" / "00000"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    text = RECORDINGS.replace("recordings: {path: drives, fps: 10}", "shards: {path: drives}")
    watcher = Watcher(Graph.make(tmp_path, 0, instance, text, {}), "photos__new_data")
    for _ in range(2):
        watcher.tick()
    (folder / "00000.tar").write_text("being written")
    assert "have not changed" in watcher.tick().skip_message
    (folder / "manifest.json").write_text("{ }")
    assert "have changed" in watcher.tick().skip_message
