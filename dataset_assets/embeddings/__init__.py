"""Samples become vectors and latents, computed once and read by key or by range.

A file in `encoders/` is an encoder. What is stored is a set under the commit protocol of shard
sets: one safetensors file and one Parquet index for each source shard. Nothing here trains.
"""
