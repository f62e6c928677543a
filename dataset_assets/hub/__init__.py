"""Publishes datasets to the Hugging Face Hub or to a local folder that is laid out like one.

`target` is the contract of a target and opens one, `card` describes a dataset, `legacy_script`
serves older `datasets`, `loading` and `builder` load it back, `retry` retries requests. What a
publication contains is decided in `dataset_assets.pipelines.publish`.
"""
