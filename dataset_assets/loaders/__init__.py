"""Batches for training: from shard sets, staged sets and published datasets, for torch and MLX.

* `order/`: which sample comes when; NumPy only
* `samples/`: where the bytes of a sample are, and how they are read and cached
* `labels/`: class dictionaries, and label maps as train ids
* `torch/`, `mlx/`: what the two frameworks get

Nothing here writes shards, and nothing is named after another tool: that is `compat/`.
"""
