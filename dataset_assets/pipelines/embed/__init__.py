"""Precomputed embeddings of a shard set."""
