"""One url becomes bytes, or a reason: `client.Fetcher` with `options.FetchOptions`. No images, no shards, no url lists."""
