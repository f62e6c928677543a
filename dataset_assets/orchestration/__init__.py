"""The asset graph, and the only folder that imports Dagster.

The work is done by `dataset_assets.pipelines`; here it is wired into assets.

build         definitions: the datasets of all catalogs, and what they share
catalog/      folder = dataset; one `defs.yaml` each
components/   `type: dataset_assets.Dataset`: walks the stages
stages/       folder = stage: its asset, YAML section, checks, metadata and sensor
common/       what stages share; never imports one
partitions    which shards belong to which partition
io_managers   plans, manifests and tables between assets
resources/    where datasets are stored
environment   the environment variables, read only there
materialize   the same without the UI
"""
