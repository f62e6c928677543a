"""Samples to shard files and back. A file is an output format: `webdataset`, `files`, `parquet`, `tfrecord`, `dummy`.

A format turns rows into the files of one shard; it knows nothing of urls or images. Around the formats:

    _base      the contract of a format          _naming   names of shards, samples and members
    _records   commit records and the manifest   _reorder  rows in any order -> rows in order, in bounded memory
    _reading   a committed shard -> rows         _verify   does a committed shard hold what its record says?
    _replace   a new version of a committed shard, safe against crashes
    _tar, _sidecar, _text, _example              byte layouts

Commit protocol of a shard: every file is staged (`Writer.close` makes it durable, still invisible), then made visible (`Writer.commit`: the sample
file, then the sidecar), then `write_record`, then `write_manifest`. The shard exists if and only if its record does and agrees with its files.
"""
