"""List formats: a file is an `input_format`, found by `dataset_assets.registry`."""
