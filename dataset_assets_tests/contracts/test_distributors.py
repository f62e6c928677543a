"""What every distributor promises: each task is done once, and an error of the work is raised."""

import multiprocessing

import pytest

from dataset_assets import registry
from dataset_assets.distribute import TaskLost
from dataset_assets.errors import DiskFull
from dataset_assets_tests.distribute.work import Done, full_disk, leave_early, overlap, square

NAMES = registry.names("distributor")


@pytest.mark.parametrize("work", [square, overlap])
@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_done_once(name, work):
    distributor = registry.load("distributor", name)(2)
    done = [event for event in distributor.run(work, range(11)) if isinstance(event, Done)]
    assert sorted(event.task for event in done) == list(range(11))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_happens_when_there_are_no_tasks(name):
    assert list(registry.load("distributor", name)(2).run(square, [])) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_of_the_work_is_raised_to_the_caller(name):
    with pytest.raises(DiskFull, match="no space left for x"):
        list(registry.load("distributor", name)(2).run(full_disk, range(5)))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("tasks", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_every_task_ends_when_the_work_leaves_some_out(name, tasks):
    events = list(registry.load("distributor", name)(2).run(leave_early, range(tasks)))
    assert sorted(event.task for event in events) == list(range(tasks))
    assert any(isinstance(event, Done) for event in events)
    assert all(isinstance(event, Done | TaskLost) for event in events)
