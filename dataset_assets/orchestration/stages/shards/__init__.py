"""The stage `shards`: downloaded shards."""
