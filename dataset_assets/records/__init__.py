"""What travels between folders: records with no behavior beyond their own JSON.

A file is a subject: `causes`, `fetching`, `shards`, `plans`, `splits`, `publications`, `staged`.
`fingerprint` digests JSON values, `stored_json` reads and checks stored JSON. Records are frozen,
but for `shards.Row`, which is filled on its way into a shard. Standard library only.
"""
