"""The stages of the graph: a folder is a stage, and its `__init__.py` defines `STAGE`.

section    its section of a `defs.yaml`, and its name
asset      the assets of the stage, and `build`, which returns all its definitions

A stage with more to say about one of these has a file for it:

checks     asset checks
page       metadata for the pages of the UI
source     the sections of `source:` that begin with this stage
sensor     sensors, and `schedule` its schedules
runs       one run of the asset, where that is more than a call of the library

What several stages use is in `dataset_assets.orchestration.common`. A stage may import those that
come before it, never those after it.
"""
