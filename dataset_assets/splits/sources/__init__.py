"""Sources that can be split: a module is a `kind`, found by `dataset_assets.registry`.

Nothing else lives here. The contract is `dataset_assets.splits.source.SplitSource`.
"""
