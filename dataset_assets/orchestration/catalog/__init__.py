"""The shipped datasets: `<dataset>/defs.yaml`, or a `.py` file with a one-off asset.

`DATASET_ASSETS_CATALOG` names more folders like this one.
"""
