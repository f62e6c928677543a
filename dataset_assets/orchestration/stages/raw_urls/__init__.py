"""The stage `raw_urls`: uRL lists, cut into a plan of shards."""
