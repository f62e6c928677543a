"""`img2dataset.reader` on `dataset_assets.urls`."""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.feather

from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists


class Reader:
    """Cuts a list into Feather files, one for each shard that is not done."""

    def __init__(
        self,
        *,
        url_list: str,
        input_format: str,
        url_col: str,
        caption_col: str | None,
        verify_hash_col: str | None,
        verify_hash_type: str | None,
        save_additional_columns: Sequence[str] | None,
        number_sample_per_shard: int,
        done_shards: Collection[int],
        tmp_path: str,
    ) -> None:
        del verify_hash_type
        options = ListOptions(
            input_format=input_format,
            url_col=url_col,
            caption_col=caption_col,
            save_additional_columns=tuple(save_additional_columns or ()),
            verify_hash_col=verify_hash_col,
        )
        self.column_list = list(options.columns)
        self._lists = open_lists(url_list, options)
        self._rows = number_sample_per_shard
        self._done = frozenset(done_shards)
        self._folder = tmp_path

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the file of each shard."""
        for shard_id, table in enumerate(self._tables()):
            if shard_id not in self._done:
                path = f"{self._folder}/{shard_id}.feather"
                pyarrow.feather.write_feather(table, path)
                yield shard_id, path

    def _tables(self) -> Iterator[pa.Table]:
        for one in self._lists:
            rest: list[pa.Table] = []
            for batch in one.read():
                table = pa.concat_tables([*rest, batch])
                whole = table.num_rows // self._rows * self._rows
                for start in range(0, whole, self._rows):
                    yield table.slice(start, self._rows)
                rest = [table.slice(whole)]
            yield from (table for table in rest if table.num_rows)
