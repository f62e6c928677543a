"""Output formats: a module is an `output_format`, found by `dataset_assets.registry`.

Nothing else lives here. The contract is `dataset_assets.shards.writer.Writer`.
"""
