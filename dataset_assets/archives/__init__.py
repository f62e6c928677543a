"""Archive files: the one place that reads and writes tar, zip and gzip.

Readers take untrusted input: names, sizes and counts are checked before a byte is used, and nothing is ever extracted to disk under a member's name.
Writers are reproducible: equal members give equal bytes.
"""
