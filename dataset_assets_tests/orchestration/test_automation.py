"""What the automation sensor asks for, tick by tick."""

import dagster as dg

from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment
from dataset_assets_tests.orchestration.graphs import (
    PUBLISHED,
    RECORDINGS,
    Graph,
    write_list,
    write_recordings,
)

SHARDS = dg.AssetKey(["photos", "shards"])


class Automation:
    """Evaluates the conditions of a graph, with the cursor kept."""

    def __init__(self, graph):
        self._graph, self._cursor = graph, None

    def tick(self):
        result = dg.evaluate_automation_conditions(
            self._graph.definitions, self._graph.instance, cursor=self._cursor
        )
        self._cursor = result.cursor
        return sorted(result.get_requested_partitions(SHARDS))


def test_new_partitions_are_asked_for_once_when_a_list_arrives(graph):
    automation = Automation(graph)
    assert automation.tick() == []
    graph.plan()
    assert automation.tick() == ["00000", "00001", "00002", "00003"]
    assert automation.tick() == []
    graph.make_shards("00000", "00003")
    write_list(graph.root / "lists", "c", ["photos"] * 6, graph.port)
    graph.plan()
    assert automation.tick() == ["00004", "00005"]
    assert automation.tick() == []


def test_made_partitions_are_left_alone_when_the_plan_is_made_again(graph):
    automation = Automation(graph)
    graph.plan()
    graph.make_shards("00000", "00003")
    automation.tick()
    graph.plan()
    assert automation.tick() == []


def test_first_fill_is_left_to_a_person_when_partitions_were_there_before(graph):
    graph.plan()
    automation = Automation(graph)
    assert automation.tick() == []
    assert automation.tick() == []


def test_nothing_is_asked_for_when_no_dataset_is_automated(instance, tmp_path):
    definitions = build_defs(Environment(root=str(tmp_path)))
    first = dg.evaluate_automation_conditions(definitions, instance)
    instance.add_dynamic_partitions("demo__shards", ["00000"])
    assert (
        dg.evaluate_automation_conditions(
            definitions, instance, cursor=first.cursor
        ).total_requested
        == 0
    )


def test_splits_and_upload_are_asked_for_when_all_partitions_are_made(
    tmp_path, photo_server, instance
):
    graph = Graph.make(tmp_path, photo_server.port, instance, PUBLISHED)
    cursor, asked = None, []

    def tick():
        nonlocal cursor
        result = dg.evaluate_automation_conditions(graph.definitions, graph.instance, cursor=cursor)
        cursor = result.cursor
        return [
            stage
            for stage in ("split_archives", "hub_upload")
            if result.get_requested_partitions(dg.AssetKey(["photos", stage]))
        ]

    assert tick() == []
    graph.plan()
    graph.make_shards("00000", "00002")
    assert tick() == []
    graph.make_shards("00003", "00003")
    asked.append(tick())
    graph.run("split_archives")
    asked.append(tick())
    graph.run("hub_upload")
    asked.append(tick())
    assert asked == [["split_archives", "hub_upload"], [], []]


def test_splits_are_asked_for_once_when_the_source_is_a_folder(tmp_path, instance):
    write_recordings(tmp_path / "data" / "drives", 4)
    graph = Graph.make(tmp_path, 0, instance, RECORDINGS, {})
    first = dg.evaluate_automation_conditions(graph.definitions, graph.instance)
    assert first.total_requested == 0
    graph.run("split_archives")
    second = dg.evaluate_automation_conditions(
        graph.definitions, graph.instance, cursor=first.cursor
    )
    assert second.total_requested == 1
    assert second.get_requested_partitions(dg.AssetKey(["photos", "hub_upload"])) == {None}
