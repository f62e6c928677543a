"""Where datasets are published: a file is a target. Found by `dataset_assets.registry`; nothing else lives here."""
