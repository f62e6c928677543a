"""List formats: a file is an `input_format`. Found by `dataset_assets.registry`; nothing else lives here."""
