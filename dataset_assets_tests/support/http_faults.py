"""The faults of the HTTP server of the tests: a name in `FAULTS` is served as `/fault/<name>`."""

import asyncio
import gzip

from dataset_assets_tests.support.http_exchange import Exchange, Handler, payload

FAULTS: dict[str, Handler] = {}


def fault(handler: Handler) -> Handler:
    """Serve a handler as `/fault/<its name>`."""
    FAULTS[handler.__name__] = handler
    return handler


def _raw(name: str, data: bytes, *, close: bool = True) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.keep_alive = not close

    FAULTS[name] = handler


def _location(name: str, location: str) -> None:
    _raw(
        name,
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode(),
        close=False,
    )


_OK = b"HTTP/1.1 200 OK\r\n"
_BOMB = gzip.compress(bytes(30_000_000), 9)
_raw("truncated", _OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500)
_raw("chunk_truncated", _OK + b"Transfer-Encoding: chunked\r\n\r\n1f4\r\n" + b"x" * 500 + b"\r\n")
_raw("no_length", _OK + b"Connection: close\r\n\r\n" + b"x" * 500)
_raw(
    "longer",
    _OK + b"Content-Length: 100\r\n\r\n" + b"x" * 100 + _OK + b"Content-Length: 4\r\n\r\nevil",
    close=False,
)
_raw("negative_length", _OK + b"Content-Length: -5\r\n\r\n" + b"x" * 500)
_raw("two_lengths", _OK + b"Content-Length: 5\r\nContent-Length: 500\r\n\r\n" + b"x" * 500)
_raw("garbage", b"\x00\x01\x02garbage\r\n\r\n")
_raw("nothing", b"")
_raw("empty_body", _OK + b"Content-Length: 0\r\n\r\n", close=False)
_raw("declared_10gb", _OK + b"Content-Length: 10000000000\r\n\r\n" + b"x" * 1000)
_raw(
    "gzip_bomb",
    _OK
    + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_BOMB)
    + _BOMB,
)
_raw(
    "large_headers",
    _OK
    + b"".join(b"X-%d: " % i + b"a" * 8000 + b"\r\n" for i in range(90))
    + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "some_headers",
    _OK
    + b"".join(b"X-%d: " % i + b"a" * 8000 + b"\r\n" for i in range(10))
    + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "many_headers",
    _OK + b"".join(b"X-%d: a\r\n" % i for i in range(50_000)) + b"Content-Length: 2\r\n\r\nok",
)
_raw(
    "html",
    _OK
    + b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 24\r\n\r\n"
    + b"<!doctype html><p>hi</p>",
    close=False,
)
_raw(
    "early_hints",
    b"HTTP/1.1 103 Early Hints\r\nX-Robots-Tag: noai\r\n\r\n"
    + _OK
    + b"Content-Length: 2\r\n\r\nok",
    close=False,
)
_raw(
    "partial",
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
    close=False,
)
_location("loop", "/fault/loop")
_location("to_file", "file:///etc/hostname")
_location("to_ftp", "ftp://127.0.0.1/x")
_location("to_data", "data:text/plain,hello")
_location("to_metadata", "http://169.254.169.254/latest/meta-data/")


@fault
async def hang(exchange: Exchange) -> None:
    """Send nothing."""
    await exchange.gone()


@fault
async def dripping(exchange: Exchange) -> None:
    """Send a body very slowly."""
    await exchange.head(200, [("Content-Length", "100000")])
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.05)


@fault
async def dripping_headers(exchange: Exchange) -> None:
    """Send headers very slowly, a line at a time."""
    await exchange.send(_OK)
    while True:
        await exchange.send(b"X-A: aaaaaaaaaa\r\n")
        await asyncio.sleep(0.05)


@fault
async def stalled(exchange: Exchange) -> None:
    """Stop in the middle of a body."""
    await exchange.head(200, [("Content-Length", "100000")])
    await exchange.send(b"x" * 50_000)
    await exchange.gone()


@fault
async def endless(exchange: Exchange) -> None:
    """Send an endless body."""
    await exchange.head(200, [("Transfer-Encoding", "chunked")])
    while True:
        await exchange.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


@fault
async def reset(exchange: Exchange) -> None:
    """Abort in the middle of a body."""
    await exchange.head(200, [("Content-Length", "1000")])
    await exchange.send(b"x" * 10)
    await asyncio.sleep(0.02)
    exchange.reset()


@fault
async def opt_out_then_body(exchange: Exchange) -> None:
    """Send an opt-out header, wait, and send the body to a client that is still connected."""
    await exchange.head(200, [("X-Robots-Tag", "noai"), ("Content-Length", "10000000")])
    await asyncio.sleep(0.3)
    await exchange.send(b"x" * 10_000_000)


@fault
async def closes_idle(exchange: Exchange) -> None:
    """Send a valid response, then close the connection in spite of keep-alive."""
    await exchange.reply(payload(100))
    exchange.close()
