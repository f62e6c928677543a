"""The download site of Cityscapes: logs in, finds packages by name, reads their checksums.

The password is sent once, in the body of the login form. It is in no URL, header, message or
record.

Protocol: `downloader.py` of https://github.com/mcordts/cityscapesScripts
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches

from dataset_assets.errors import LoginRefused, SourceError
from dataset_assets.staging.source import WebSession

SITE = "https://www.cityscapes-dataset.com"
#: Redirect after a successful login. Any other status is the form again.
_LOGGED_IN = 302
_MD5_CHARS = 32


@dataclass(frozen=True, slots=True)
class Package:
    """An archive and where it is."""

    name: str
    """Such as "gtFine_trainvaltest.zip"."""
    url: str
    md5: str | None = None
    """As the site states it; None for a copy."""


class CityscapesSite:
    """The site, logged in.

    Raises:
        LoginRefused: the site refuses the user name and password.
        SourceError: the site does not answer as expected.
    """

    def __init__(
        self, session: WebSession, username: str, password: str, *, site: str = SITE
    ) -> None:
        self._session = session
        self._site = site.rstrip("/")
        self._log_in(username, password)
        self._ids = self._list_packages()

    def _log_in(self, username: str, password: str) -> None:
        url = f"{self._site}/login"
        self._session.get(url)  # sets the cookie that the form needs
        form = {"username": username, "password": password, "submit": "Login"}
        answer = self._session.post_form(url, form)
        if answer.status != _LOGGED_IN:
            raise LoginRefused(
                f"{self._site} does not take the user name and password of Cityscapes (expected a "
                f"redirect, got status {answer.status}): correct CITYSCAPES_USERNAME and "
                "CITYSCAPES_PASSWORD; accounts are created on its page"
            )

    def _list_packages(self) -> dict[str, str]:
        """Return the id of each package by its name."""
        path = "/downloads/?list"
        text = self._read_page(path)
        try:
            return {entry["name"]: str(entry["packageID"]) for entry in json.loads(text)}
        except (ValueError, TypeError, KeyError) as exc:
            raise SourceError(
                f"{self._site}{path}: expected a list of packages with name and packageID, got "
                "another page; try again later"
            ) from exc

    def package(self, name: str) -> Package:
        """Find a package.

        Raises:
            SourceError: the site has none of that name, or does not answer as expected.
        """
        if name not in self._ids:
            near = get_close_matches(name, self._ids, n=3) or sorted(self._ids)
            raise SourceError(
                f"{self._site} has no package {name!r} for this account; "
                f"the nearest names are {', '.join(near)}"
            )
        number = self._ids[name]
        # A line as `md5sum` writes it: the checksum, then the name.
        words = self._read_page(f"/md5-sum/?packageID={number}").split()
        if not words or len(words[0]) != _MD5_CHARS:
            raise SourceError(
                f"{self._site}: expected the md5 of {name}, got another page; try again later"
            )
        return Package(name, f"{self._site}/file-handling/?packageID={number}", words[0].lower())

    def _read_page(self, path: str) -> str:
        answer = self._session.get(self._site + path)
        if answer.status != 200:
            raise SourceError(
                f"{self._site}{path}: expected status 200, got {answer.status}; try again later"
            )
        return answer.body.decode("utf-8", "replace")
