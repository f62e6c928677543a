"""How assets pass values to each other: plans and manifests as JSON, tables as Parquet. A file is a kind of value.

Nothing is ever pickled, tars never pass through here, and reading never executes what it reads.
"""
