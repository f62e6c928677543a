"""IO managers: how assets pass values to each other. A file is a kind of value.

Plans and manifests are JSON, tables are Parquet. Nothing is pickled, and shards never pass through
here.
"""
