"""The download site of Cityscapes: log in, find packages by name, learn their checksums.

The password is sent once, in the body of the login form, and stands in no url, header, message or record.
Protocol: `downloader.py` of https://github.com/mcordts/cityscapesScripts
"""

import json
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from dataset_assets.errors import LoginRefused, SourceError

SITE = "https://www.cityscapes-dataset.com"
_LOGGED_IN = 302  # anything else is the form again


class Answer(Protocol):
    """What came back."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def body(self) -> bytes:
        """Body."""


class Session(Protocol):
    """Requests that share cookies; see `fetch.session`."""

    def get(self, url: str) -> Answer:
        """Get a page."""

    def post_form(self, url: str, fields: dict[str, str]) -> Answer:
        """Send a form, without following a redirect."""


@dataclass(frozen=True, slots=True)
class Package:
    """One archive that the site offers."""

    name: str  # "gtFine_trainvaltest.zip"
    url: str
    md5: str


class CityscapesSite:
    """The site, logged in."""

    def __init__(self, session: Session, username: str, password: str, *, site: str = SITE) -> None:
        self._session, self._site = session, site.rstrip("/")
        self._log_in(username, password)
        self._ids = self._list()

    def _log_in(self, username: str, password: str) -> None:
        self._session.get(f"{self._site}/login")  # sets the cookie that the form needs
        answer = self._session.post_form(
            f"{self._site}/login", {"username": username, "password": password, "submit": "Login"}
        )
        if answer.status != _LOGGED_IN:
            raise LoginRefused(
                f"{self._site} does not take the user name and password of Cityscapes (expected a redirect, came status {answer.status}): "
                "correct CITYSCAPES_USERNAME and CITYSCAPES_PASSWORD; accounts are made on its page"
            )

    def _list(self) -> dict[str, str]:
        text = self._page("/downloads/?list")
        try:
            return {entry["name"]: str(entry["packageID"]) for entry in json.loads(text)}
        except (ValueError, TypeError, KeyError) as exc:
            raise SourceError(
                f"{self._site}/downloads/?list: expected a list of packages with name and packageID, came another page"
            ) from exc

    def package(self, name: str) -> Package:
        """Find a package.

        Raises:
            SourceError: the site has none of that name, or does not answer as expected.
        """
        if name not in self._ids:
            near = ", ".join(get_close_matches(name, self._ids, n=3)) or ", ".join(
                sorted(self._ids)
            )
            raise SourceError(
                f"{self._site} has no package {name!r} for this account; the nearest names are {near}"
            )
        number = self._ids[name]
        words = self._page(f"/md5-sum/?packageID={number}").split()
        if not words or len(words[0]) != 32:
            raise SourceError(f"{self._site}: expected the md5 of {name}, came another page")
        return Package(name, f"{self._site}/file-handling/?packageID={number}", words[0].lower())

    def _page(self, path: str) -> str:
        answer = self._session.get(self._site + path)
        if answer.status != 200:
            raise SourceError(
                f"{self._site}{path}: expected status 200, came {answer.status}; try again later"
            )
        return answer.body.decode("utf-8", "replace")
