"""`download`: URL lists in, shards out."""
