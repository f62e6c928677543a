"""A server of asyncio that runs on a thread of its own while it is entered."""

import asyncio
import threading
from typing import Self


class AsyncServer:
    """Listens on a free port. What it serves is in `_listen`."""

    port: int = 0

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name=type(self).__name__, daemon=True
        )
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    async def _end(self) -> None:
        """End what is still being served."""

    async def _run(self, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._listen()
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        await self._end()
