"""Reads the credentials file: yaml or json, with the keys of torchdatasetutil's README.

    s3:
    - {name: store, type: trainer, address: "host:9000", access key: ..., secret key: ...,
       tls: false, cert verify: false, cert path: null,
       sets: {dataset: {bucket: imgml, prefix: data, dataset_filter: ""}}}
    cityscapes: {username: ..., password: ...}

In addition, `address` may be a URL (then `tls` may be left out), `region` and `session token` may
be given, and both keys may be null for boto3's own chain. Every error names the file, the entry
and the key, and no value of a key that may hold a secret.
Source: https://github.com/bhlarson/torchdatasetutil/blob/main/README.md
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.s3.credentials import S3Credentials

MAX_FILE_BYTES = 1 << 20
_SECRET_KEY = re.compile(r"(?i)secret|password|token|access key|^key$")
_REQUIRED = ("name", "address", "access key", "secret key")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLocation:
    """One entry of `sets`: a folder of a bucket."""

    bucket: str
    prefix: str = ""
    dataset_filter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStore:
    """One entry of `s3`."""

    name: str
    credentials: S3Credentials
    sets: Mapping[str, SetLocation]
    shown: Mapping[str, Any] = field(repr=False)
    """The entry as written, without its secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsFile:
    """What a credentials file says."""

    path: str
    stores: tuple[NamedStore, ...]
    cityscapes: tuple[str, str] | None = field(default=None, repr=False)
    """User name and password."""
    shown: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The file as written, without its secrets."""

    def named(self, name: str) -> NamedStore:
        """Return the store of that name.

        Raises:
            ConfigurationError: there is none, or its address is the placeholder of the README.
        """
        for store in self.stores:
            if store.name == name:
                return self._check_address(store)
        known = ", ".join(store.name for store in self.stores) or "no store at all"
        raise ConfigurationError(
            f"{self.path}: expected an entry of s3 with the name {name!r}, got {known}"
        )

    def of_bucket(self, bucket: str) -> NamedStore | None:
        """Return the store one of whose `sets` is in the bucket, or None.

        Raises:
            ConfigurationError: there are several.
        """
        found = [
            store
            for store in self.stores
            if any(place.bucket == bucket for place in store.sets.values())
        ]
        if len(found) > 1:
            names = " and ".join(store.name for store in found)
            raise ConfigurationError(
                f"{self.path}: {names} both have the bucket {bucket!r}; name one of them: "
                f"s3://{found[0].name}@{bucket}"
            )
        return self._check_address(found[0]) if found else None

    def _check_address(self, store: NamedStore) -> NamedStore:
        address = store.credentials.endpoint_url or ""
        if "<" in address:
            raise ConfigurationError(
                f"{self.path}: expected an address like host:9000 for {store.name!r}; it is still "
                f"{address!r}; fill it in"
            )
        return store


def read_credentials_file(path: str | Path) -> CredentialsFile:
    """Read a credentials file.

    Raises:
        ConfigurationError: it cannot be read, lacks a key, or has an invalid value.
    """
    document = _Section(str(path), "", _load(Path(path).expanduser()))
    entries = document.get("s3", list) or []
    stores = tuple(
        _store(_Section(str(path), f"s3[{index}]", entry)) for index, entry in enumerate(entries)
    )
    names = [store.name for store in stores]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"{path}: expected unique names of the entries of s3; {', '.join(sorted(twice))} is "
            "there twice"
        )
    return CredentialsFile(
        path=str(path),
        stores=stores,
        cityscapes=_login(document),
        shown=_without_secrets(document.values),
    )


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"{path}: expected a credentials file (yaml or json): {exc.strerror}; correct the path"
        ) from exc
    if len(data) > MAX_FILE_BYTES:
        raise ConfigurationError(
            f"{path}: expected a credentials file of at most {MAX_FILE_BYTES} bytes, "
            f"got {len(data)}"
        )
    # The messages of the parsers quote the line with the error, which may be the one with the
    # secret: only its number is shown.
    try:
        return json.loads(data) if path.suffix == ".json" else yaml.safe_load(data)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    except json.JSONDecodeError as exc:
        where = f" in line {exc.lineno}, column {exc.colno}"
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        where = ": it is not text, or too deep"
    kind = "json" if path.suffix == ".json" else "yaml"
    raise ConfigurationError(
        f"{path}: expected {kind}; it cannot be parsed{where}; correct that line (values with : or "
        "# need quotes)"
    )


class _Section:
    """A mapping in the file, and its place there."""

    def __init__(self, path: str, place: str, values: Any) -> None:
        self.path = path
        self.place = place
        if not isinstance(values, dict):
            raise self.error(f"expected keys and values, got {_kind(values)}")
        self.values: dict[str, Any] = values

    def error(self, message: str) -> ConfigurationError:
        """Return the error for this place."""
        parts = (self.path, self.place, message)
        return ConfigurationError(": ".join(filter(None, parts)))

    def require(self, names: tuple[str, ...]) -> None:
        """Check that keys are present."""
        if missing := [name for name in names if name not in self.values]:
            present = ", ".join(sorted(map(str, self.values))) or "none"
            raise self.error(f"expected the key {missing[0]!r}, got {present}; add it")

    def get(self, name: str, kind: type) -> Any:
        """Return the value of a key, or None when it is absent or null."""
        value = self.values.get(name)
        if value is None or type(value) is kind:
            return value
        hint = "; put it in quotes" if kind is str else ""
        raise self.error(f"expected {name!r} to be {_NAMES[kind]}, got {_kind(value)}{hint}")

    def child(self, name: str) -> "_Section":
        """Return the mapping below a key."""
        place = f"{self.place}.{name}" if self.place else name
        return _Section(self.path, place, self.values[name])


_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "keys and values",
    int: "a number",
    float: "a number",
}


def _kind(value: object) -> str:
    return "nothing" if value is None else _NAMES.get(type(value), type(value).__name__)


def _store(section: _Section) -> NamedStore:
    section.require(_REQUIRED)
    name = section.get("name", str)
    address = section.get("address", str)
    if not name or not address:
        raise section.error(
            f"expected {'name' if not name else 'address'!r} to be text, got nothing"
        )
    credentials = S3Credentials(
        source=f"{Path(section.path).name}: {name}",
        endpoint_url=_endpoint(section, address),
        access_key=section.get("access key", str) or None,
        secret_key=section.get("secret key", str) or None,
        session_token=section.get("session token", str) or None,
        region=section.get("region", str) or "us-east-1",
        verify=_verify(section),
    )
    return NamedStore(
        name=name,
        credentials=credentials,
        sets=_sets(section),
        shown=_without_secrets(section.values),
    )


def endpoint_url(address: str, *, tls: bool | None) -> str:
    """Return the endpoint of an address with or without http:// or https://.

    Without it, and without `tls`, the endpoint is http.

    Raises:
        ConfigurationError: the two do not agree.
    """
    scheme, separator, host = address.rpartition("://")
    if not separator:
        scheme = "https" if tls else "http"
    if scheme not in ("http", "https") or (tls is not None and tls != (scheme == "https")):
        raise ConfigurationError(
            f"the address begins with {scheme}:// and 'tls' is {str(tls).lower()}: these do not "
            "agree; correct one of them"
        )
    return f"{scheme}://{host.rstrip('/')}"


def _endpoint(section: _Section, address: str) -> str:
    try:
        return endpoint_url(address, tls=section.get("tls", bool))
    except ConfigurationError as exc:
        raise section.error(str(exc)) from None


def _verify(section: _Section) -> bool | str:
    if section.get("cert verify", bool) is False:
        return False
    path = section.get("cert path", str)
    if path and not Path(path).expanduser().is_file():
        raise section.error(
            f"expected 'cert path' to be a file of certificates; there is no {path}"
        )
    return str(Path(path).expanduser()) if path else True


def _sets(section: _Section) -> dict[str, SetLocation]:
    if section.get("sets", dict) is None:
        return {}
    places = section.child("sets")
    return {str(name): _location(places.child(name)) for name in places.values}


def _location(section: _Section) -> SetLocation:
    section.require(("bucket",))
    texts = {name: section.get(name, str) or "" for name in ("bucket", "prefix", "dataset_filter")}
    return SetLocation(**texts)


def _login(document: _Section) -> tuple[str, str] | None:
    if document.get("cityscapes", dict) is None:
        return None
    section = document.child("cityscapes")
    section.require(("username", "password"))
    return section.get("username", str) or "", section.get("password", str) or ""


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        shown = {key: item for key, item in value.items() if not _SECRET_KEY.search(str(key))}
        return {key: _without_secrets(item) for key, item in shown.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return deepcopy(value)
