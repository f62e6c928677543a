"""How far a worker looks ahead: when it asks for its next shard, and how many it holds open.

A slow host holds its shards open, so more shards are opened for the rows of others. Open shards are
bounded by their rows, which a crash loses, by the disk that rows take while they wait for an
earlier one, and by the files that a process may open.
"""

import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.shards import ShardTask
from dataset_assets.shards.reorder import ReorderBudget

if sys.platform != "win32":
    import resource

#: Open shards that a worker may always have: one that waits for its last URLs, and the next.
MIN_OPEN_SHARDS = 2
#: Rows of all open shards of a worker.
MAX_OPEN_ROWS = 20_000
#: The next shard is opened while fewer rows than these wait to be started.
MAX_UNSTARTED_ROWS = 400
# Sample file, sidecar, rows that wait, and what a commit opens.
_FILES_PER_SHARD = 4
# Files for everything else but connections: lookups, libraries, the output.
_OTHER_FILES = 512


class TaskFeed:
    """The tasks of a worker, asked for one by one, each when it is time to open its shard."""

    def __init__(
        self,
        tasks: Iterator[ShardTask],
        shard_ids: Iterable[int],
        options: DownloadOptions,
        reorder: ReorderBudget,
    ) -> None:
        """Start with no shard open.

        Args:
            tasks: the tasks of this worker.
            shard_ids: the shards of all workers, in the order in which they are handed out.
            options: of the download.
            reorder: what rows that wait take.
        """
        self.has_more = True
        """False once there are no more tasks."""
        self._tasks = tasks
        self._options = options
        self._reorder = reorder
        self._max_open = _max_open_shards(options)
        self._position = {shard_id: position for position, shard_id in enumerate(shard_ids)}
        # Shards that no worker had asked for when this one last asked.
        self._left = len(self._position)

    def next(self, *, unstarted: int, open_rows: Collection[int]) -> ShardTask | None:
        """Ask for the next task. None: there is none, or no shard should be opened now.

        Args:
            unstarted: rows whose requests have not started.
            open_rows: the rows to fetch of each open shard.
        """
        if not self.has_more or not self._wants_shard(unstarted, open_rows):
            return None
        task = next(self._tasks, None)
        if task is None:
            self.has_more = False
        else:
            self._left = len(self._position) - 1 - self._position[task.shard_id]
        return task

    def _wants_shard(self, unstarted: int, open_rows: Collection[int]) -> bool:
        # A worker that takes more than its share of what is left leaves others without work.
        share = self._left * self._options.samples_per_shard // self._options.processes_count
        if unstarted >= max(1, min(MAX_UNSTARTED_ROWS, share)):
            return False
        if len(open_rows) < MIN_OPEN_SHARDS:
            return True
        return (
            len(open_rows) < self._max_open
            and self._reorder.has_disk
            and sum(open_rows) < MAX_OPEN_ROWS
        )


def _max_open_shards(options: DownloadOptions) -> int:
    """Return for how many open shards this process may have files; raise its limit if needed."""
    wanted = max(MIN_OPEN_SHARDS, MAX_OPEN_ROWS // options.samples_per_shard + 1)
    if sys.platform == "win32":
        return wanted
    others = 2 * options.fetch.max_connections + _OTHER_FILES
    needed = others + wanted * _FILES_PER_SHARD
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(ValueError, OSError):  # some systems refuse what they report as allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return max(MIN_OPEN_SHARDS, (soft - others) // _FILES_PER_SHARD)
