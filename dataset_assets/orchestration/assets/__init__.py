"""Builders of assets. A file is a stage, the last part of an asset key; each calls one function of `dataset_assets.pipelines`."""
