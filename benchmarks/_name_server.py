"""A name server for a simulated web: UDP, A records, with latency, failures and silence.

    _name_server.py names.json

names.json maps names to [answer, seconds], where the answer is an IPv4 address, `nxdomain`,
`servfail` or `silence`. Any other name is NXDOMAIN at once. Started by `_web`; imports nothing of
the benchmarks.
"""

import asyncio
import ipaddress
import json
import socket
import sys
from typing import Any

ADDRESS = ("127.0.0.1", 53)
TTL_S = 300
_TYPE_A = b"\x00\x01"
_RCODES = {"servfail": 2, "nxdomain": 3}


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: dict[str, tuple[str, float]]) -> None:
        self._names = {_wire(name): _answer(*entry) for name, entry in names.items()}
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.find(b"\x00", 12) + 1
        if end == 0 or len(data) < end + 4 or data[2] & 0x80:
            return
        rcode, record, delay_s = self._names.get(data[12:end].lower(), (3, b"", 0.0))
        if rcode is None:
            return
        if data[end : end + 2] != _TYPE_A:
            record = b""  # the name exists, without a record of this type
        flags = bytes([0x80 | data[2] & 0x01, 0x80 | rcode])
        counts = b"\x00\x01" + (b"\x00\x01" if record else b"\x00\x00") + b"\x00\x00\x00\x00"
        reply = data[:2] + flags + counts + data[12 : end + 4] + record
        self._loop.call_later(delay_s, self._transport.sendto, reply, addr)


def _wire(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\x00"


def _answer(answer: str, delay_s: float) -> tuple[int | None, bytes, float]:
    """Return the code of the response (None: silence), its record and its delay."""
    if answer == "silence":
        return None, b"", delay_s
    if answer in _RCODES:
        return _RCODES[answer], b"", delay_s
    packed = ipaddress.IPv4Address(answer).packed
    head = b"\xc0\x0c" + _TYPE_A + b"\x00\x01" + TTL_S.to_bytes(4, "big") + b"\x00\x04"
    return 0, head + packed, delay_s


async def main(names: dict[str, tuple[str, float]]) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    server.bind(ADDRESS)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: _NameServer(names), sock=server)
    await loop.create_future()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        known = json.load(file)
    asyncio.run(main(known))
