"""The keys of a `defs.yaml`: a file is a top-level key, a class is a section. Strict, and without any knowledge of assets."""
