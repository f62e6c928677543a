"""`stage`: a published dataset in, a shard set out."""
