"""The stages of the graph: a folder is a stage, and its `__init__.py` defines `STAGE`.

asset      the assets of the stage, and `build`, which returns all its definitions
section    its section of a `defs.yaml`, and its name
checks     asset checks
page       metadata for the pages of the UI
sensor     sensors, and `schedule` its schedules
source     the sections of `source:` that begin with this stage; `target` opens its repository
runs       one run of the asset, where that is more than a call of the library

What several stages use is in `dataset_assets.orchestration.common`. A stage may import those that
come before it, never those after it.
"""
