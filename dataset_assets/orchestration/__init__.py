"""The asset graph, and the only folder that imports Dagster: work is done by `dataset_assets.pipelines`, wiring is done here.

build         definitions: all datasets of the catalogs, and what they share
components/   `type: dataset_assets.Dataset`; sections/ and spec: the keys of its YAML
assets/       file = stage; *_runs, *_metadata, *checks, metadata, failures: what they are made of
partitions    which shards belong to which partition
automation, sensors, hub_sensor, schedules, causes
io_managers/  manifests, plans and tables between assets; resources/ where datasets live
environment   every environment variable
materialize   the same without the UI
catalog/      file = dataset
"""
