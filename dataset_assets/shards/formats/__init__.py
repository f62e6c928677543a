"""Shard formats: a file is an `output_format`. Found by `dataset_assets.registry`; nothing else lives here."""
