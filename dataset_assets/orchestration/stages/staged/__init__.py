"""The stage `staged`: a published dataset as shards."""
