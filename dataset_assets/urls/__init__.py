"""Url lists in. A file is an `input_format`: `txt csv tsv json jsonl parquet`, each plain or compressed.

A reader turns one list into Arrow tables of bounded size whose columns are those that `ListOptions` asks for, in the order of the output. No row is
ever lost: what can not be read as a row becomes a row without a url, and is accounted for where urls are fetched. Lists are found on any store
(`_discover`) or come from memory (`_memory`). Nothing here knows about shards or plans.
"""
