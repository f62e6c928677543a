"""Stores: one module per URL scheme, each with a class `Store` (see `storage.store.Store`)."""
