"""Publishes datasets to the Hugging Face Hub or to a local folder that is laid out like one.

`target` is the contract of a target and opens one, `card` describes a dataset, `loading` loads it
back. What a publication contains is decided in `dataset_assets.pipelines.publish`.
"""
