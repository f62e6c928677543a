"""Streams of batches for MLX."""
