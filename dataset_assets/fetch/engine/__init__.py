"""The event loop of the fetcher: transfers, scheduling and retries on one thread."""
