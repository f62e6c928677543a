"""The engine of the fetcher: transfers, scheduling and retries on one thread.

`fetch_loop` feeds requests in, `gates` decide whether a request may start, `dispatch` starts it,
`event_loop` moves the bytes of all `transfer`s, and `backlog` holds the outcomes.
"""
