"""Published datasets: a file or folder is a source. Found by `dataset_assets.registry`; nothing else lives here."""
