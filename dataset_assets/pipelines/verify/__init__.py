"""`verify`: checks that a shard set, a split or a publication agrees with its records."""
