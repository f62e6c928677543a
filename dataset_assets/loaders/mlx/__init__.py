"""Batches for MLX as streams of mlx-data, from datasets, shard sets and splits."""
