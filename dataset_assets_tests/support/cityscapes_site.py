"""The site of Cityscapes for tests: it requires a login, as the real one does.

Its URLs contain the number of a file; the calls here take its name.
"""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from dataset_assets_tests.support.archive_server import ArchiveServer, Exchange


class CityscapesSite(ArchiveServer):
    """The site of Cityscapes: the zips of a folder are packages, numbered from 1 by name."""

    def __init__(
        self, folder: Path | str, username: str = "user", password: str = "secret", **options: Any
    ) -> None:
        super().__init__(folder, **options)
        self.username, self.password = username, password
        self.wrong_md5: set[str] = set()  # names with a wrong published checksum
        self._sessions: dict[str, bool] = {}  # cookie -> logged in

    @property
    def packages(self) -> dict[str, int]:
        """File name -> number."""
        return {
            path.name: number for number, path in enumerate(sorted(self.folder.glob("*.zip")), 1)
        }

    @property
    def base_url(self) -> str:
        """The address of the site, without a slash at the end."""
        return f"http://{self.host}"

    def package_url(self, name: str) -> str:
        """Return the URL of a package."""
        return f"{self.base_url}/file-handling/?packageID={self.packages[name]}"

    def expire_sessions(self) -> None:
        """Log out every client."""
        self._sessions.clear()

    def answer(self, exchange: Exchange) -> None:
        """Respond to a request for the login form, the list of packages, or a package."""
        path, _, query = exchange.path.partition("?")
        path = path.rstrip("/")
        if path == "/login":
            self._login(exchange)
        elif not self._sessions.get(exchange.cookie("PHPSESSID")):
            exchange.reply(b"", 302, {"Location": f"{self.base_url}/login"})
        elif path == "/downloads":
            listing = [self._entry(name, number) for name, number in self.packages.items()]
            exchange.reply(
                json.dumps(listing).encode() if query == "list" else b"<html>downloads</html>",
                200,
                {"Content-Type": "text/html"},
            )
        elif name := self._named(query):
            if path == "/md5-sum":
                exchange.reply(self._md5_line(name))
            else:
                exchange.send_file(name, {"Content-Disposition": f'attachment; filename="{name}"'})
        else:
            exchange.reply(b"nothing here", 404)

    def _login(self, exchange: Exchange) -> None:
        cookie = exchange.cookie("PHPSESSID")
        if exchange.method == "POST":
            fields = {key: values[0] for key, values in parse_qs(exchange.body.decode()).items()}
            right = (
                fields == {"username": self.username, "password": self.password, "submit": "Login"}
                and cookie in self._sessions
            )
            self._sessions[cookie] = right
            exchange.reply(
                b"" if right else b"<html>wrong</html>",
                302 if right else 200,
                {"Location": "/downloads/"} if right else {},
            )
        else:
            cookie = secrets.token_hex(8)
            self._sessions[cookie] = False
            exchange.reply(
                b"<html><form></form></html>",
                200,
                {"Set-Cookie": f"PHPSESSID={cookie}; path=/", "Content-Type": "text/html"},
            )

    def _named(self, query: str) -> str:
        number = parse_qs(query).get("packageID", [""])[0]
        return next((name for name, one in self.packages.items() if str(one) == number), "")

    def _entry(self, name: str, number: int) -> dict[str, Any]:
        size = (self.folder / name).stat().st_size
        return {
            "name": name,
            "size": f"{max(1, round(size / 1e6))}MB",
            "packageID": number,
            "thirdparty": False,
        }

    def _md5_line(self, name: str) -> bytes:
        data = b"another" if name in self.wrong_md5 else (self.folder / name).read_bytes()
        return f"{hashlib.md5(data).hexdigest()}  {name}\n".encode()
