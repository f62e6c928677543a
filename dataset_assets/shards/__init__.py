"""Samples to shard files and back. A file in `formats/` is an output format.

A format turns rows into the files of one shard; it knows nothing of URLs or images. Around the
formats:

    writer        the contract of a format
    naming        names of shards, samples and members
    sidecar       Parquet files of a shard
    reorder       rows in any order -> rows in order
    commits       commit records and the manifest
    reading       a committed shard -> rows
    verify        whether a shard agrees with its record
    replace       replaces a committed shard
    lease         one run at a time in a folder

Commit protocol of a shard: every file is staged (`Writer.close` makes it durable, still invisible),
then made visible (`Writer.commit`: the sample file, then the sidecar), then `write_record`, then
`write_manifest`. The shard exists if and only if its record does and agrees with its files.
"""
