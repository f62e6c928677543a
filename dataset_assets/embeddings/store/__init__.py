"""How embeddings are stored: a shard set with arrays and an index for each source shard.

    00000.safetensors   arrays of the samples of source shard 00000, stacked by field and group
    00000.parquet       a row per sample: key, status, cause, group, row within its group, sha256
    00000_stats.json    the commit record, written last
    embeddings.json     what made them: encoder, its identity, its fields
    manifest.json       the set

`writer` writes a shard, `tensors` reads a safetensors file, `embedding_set` is for users.
"""
