"""Fetches bytes from web servers. Knows no images, shards or URL lists.

`client.Fetcher` with `options.FetchOptions` turns each of many URLs into bytes or a cause of
failure. `ranges.RangeFile` reads one large file as if it were local. `session.Session` visits a
site that requires a login.
"""
