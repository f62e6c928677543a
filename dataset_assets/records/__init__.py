"""What travels between folders: frozen records, with no behavior beyond their own JSON.

A file is a subject: `causes`, `fetching`, `shards`, `plans`, `splits`, `publications`, `staged`.
Standard library only.
"""
