"""Batches out of shard sets and published datasets: orders, streams, loaders."""
