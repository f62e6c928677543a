"""Stores: a file is a URL scheme, `fsspec` is every other scheme. Found by `dataset_assets.registry`; nothing else lives here."""
