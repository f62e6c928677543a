"""Bytes from web servers. No images, no shards, no url lists.

One of very many urls becomes bytes, or a reason: `client.Fetcher` with `options.FetchOptions`. One large file is read as if it were on disk:
`ranges.RangeFile`; a site with a login is visited with `session.Session`.
"""
