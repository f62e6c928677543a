"""What can be split: a file is a source. Found by `dataset_assets.registry`; nothing else lives here."""
