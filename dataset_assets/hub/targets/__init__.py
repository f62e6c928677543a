"""Publishing targets: a file is a target, found by `dataset_assets.registry`."""
