"""Where the samples of a shard set lie, and how their bytes are read: in place, prefetched, or through a cache."""
