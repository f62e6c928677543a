"""Stores: one module per url scheme, each with a class `Store` (see `storage.store.Store`)."""
