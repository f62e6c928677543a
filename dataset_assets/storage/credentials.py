"""Who may use which bucket: S3 credentials from the places where their users already keep them.

The order: the credentials file that `DATASET_ASSETS_CREDENTIALS` names (`_credentials_file`), by the name in `s3://name@bucket` or by a bucket of its
`sets`; fsspec's configuration (`~/.config/fsspec/s3.json`, `FSSPEC_S3_*`); the environment, a profile, and what else boto3 finds by itself.
Where keys come from is part of every refusal; what they are is part of no text: not of `repr`, not of an error.
Format: https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration
"""

import configparser
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.credentials_file import (
    CredentialsFile,
    NamedStore,
    read_credentials_file,
)
from dataset_assets.storage.s3.credentials import S3Credentials

__all__ = [
    "CREDENTIALS_VARIABLE",
    "CredentialsFile",
    "NamedStore",
    "S3Credentials",
    "mask",
    "read_credentials_file",
    "resolve",
    "secrets",
]

#: The variable with the path of the credentials file.
CREDENTIALS_VARIABLE = "DATASET_ASSETS_CREDENTIALS"
_SECRET_VARIABLE = re.compile(
    r"(?:SECRET|SECRET_KEY|SECRET_ACCESS_KEY|TOKEN|PASSWORD|API_KEY|KAGGLE_KEY)$"
)
_MIN_SECRET_CHARS = 4  # hiding "a" everywhere would hide the message
_NO_SECRETS = ("true", "false", "none", "null")
#: S3Credentials' field -> the keys of fsspec's configuration: its own, and those of `client_kwargs`.
_FSSPEC_KEYS = {
    "access_key": ("key", "aws_access_key_id"),
    "secret_key": ("secret", "aws_secret_access_key"),
    "session_token": ("token", "aws_session_token"),
    "endpoint_url": ("endpoint_url", "endpoint_url"),
    "region": ("region_name", "region_name"),
    "profile": ("profile", "profile_name"),
}


def resolve(
    name: str | None, bucket: str | None, environment: Mapping[str, str] = os.environ
) -> S3Credentials:
    """Return the credentials for a bucket. Nothing is asked of any server.

    Raises:
        ConfigurationError: no store of the credentials file has the name, several have the bucket, or a configuration says what can not be.
    """
    path = environment.get(CREDENTIALS_VARIABLE)
    if name is not None and not path:
        raise ConfigurationError(
            f"s3://{name}@{bucket or 'bucket'} needs the credentials file with the entry {name!r}: set {CREDENTIALS_VARIABLE} to its path"
        )
    if path:
        found = read_credentials_file(path)
        store = (
            found.named(name) if name is not None else found.of_bucket(bucket) if bucket else None
        )
        if store is not None:
            return store.credentials
    return _from_fsspec(environment) or _from_environment(environment)


def _from_environment(environment: Mapping[str, str]) -> S3Credentials:
    get = environment.get
    endpoint_url = (
        (get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL"))
        if get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != "true"
        else None
    )
    general: dict[str, Any] = {
        "endpoint_url": endpoint_url or None,
        "verify": get("AWS_CA_BUNDLE") or True,
    }
    region = get("AWS_REGION") or get("AWS_DEFAULT_REGION")
    if get("AWS_ACCESS_KEY_ID") or get(
        "AWS_SECRET_ACCESS_KEY"
    ):  # as in boto3, keys in the environment go before AWS_PROFILE
        return S3Credentials(
            source="environment",
            access_key=get("AWS_ACCESS_KEY_ID") or None,
            secret_key=get("AWS_SECRET_ACCESS_KEY") or None,
            session_token=get("AWS_SESSION_TOKEN") or None,
            region=region or "us-east-1",
            **general,
        )
    profile = get("AWS_PROFILE") or get("AWS_DEFAULT_PROFILE") or None
    source = (
        f"profile {profile}"
        if profile
        else "boto3's own chain (default profile, container or instance)"
    )
    return S3Credentials(
        source=source, profile=profile, region=region or _region_of(profile), **general
    )


def _region_of(profile: str | None) -> str:
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session

    session = Session(profile=profile)
    try:
        return session.get_config_variable("region") or "us-east-1"
    except ProfileNotFound as exc:
        known = ", ".join(session.available_profiles) or "none"
        raise ConfigurationError(
            f"expected a profile of the AWS configuration; there is no {profile!r}; the profiles are {known}"
        ) from exc


def _from_fsspec(environment: Mapping[str, str]) -> S3Credentials | None:
    """Return what fsspec's configuration says, completed from the environment, or None when it says nothing about access."""
    options = _fsspec_options(environment)
    client = options.get("client_kwargs") or {}
    client = client if isinstance(client, dict) else {}
    config = options.get("config_kwargs") or {}
    style = (config.get("s3") or {}).get("addressing_style") if isinstance(config, dict) else None
    found = {
        field: options.get(outer) or client.get(inner)
        for field, (outer, inner) in _FSSPEC_KEYS.items()
    }
    given: dict[str, Any] = {field: str(value) for field, value in found.items() if value}
    anonymous = str(options.get("anon", "")).lower() in ("true", "1")
    if not given and not anonymous:
        return None
    base = _from_environment(environment)
    if anonymous or given.keys() & {"access_key", "secret_key", "profile"}:
        base = replace(
            base,
            source="fsspec configuration",
            access_key=None,
            secret_key=None,
            session_token=None,
            profile=None,
        )
        if "profile" in given:
            given.setdefault("region", _region_of(given["profile"]))
    else:
        base = replace(base, source=f"{base.source}, endpoint of the fsspec configuration")
    if style:
        given["addressing_style"] = str(style)
    return replace(base, anonymous=anonymous, verify=client.get("verify", base.verify), **given)


def _fsspec_options(environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        from fsspec import config  # reads its files while it is imported

        sections: dict[str, dict[str, Any]] = config.conf
        if environment is not os.environ:
            sections = {}
            config.set_conf_files(
                environment.get("FSSPEC_CONFIG_DIR") or config.default_conf_dir, sections
            )
            config.set_conf_env(sections, environment)
    except (
        ValueError,
        TypeError,
        OSError,
        configparser.Error,
    ) as exc:  # a message of the parser may quote the file
        raise ConfigurationError(
            f"fsspec's configuration can not be read ({type(exc).__name__}): correct its json and ini files"
        ) from None
    return {**sections.get("s3", {}), **sections.get("s3a", {})}


def secrets(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the secret values that are known, longest first: of the environment, the credentials file and fsspec's configuration.

    A file that can not be read has no known secret.
    """
    found = {
        value
        for value in _known(environment)
        if len(value) >= _MIN_SECRET_CHARS and value.lower() not in _NO_SECRETS
    }
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def _known(environment: Mapping[str, str]) -> Iterator[str]:
    yield from (
        value for variable, value in environment.items() if _SECRET_VARIABLE.search(variable)
    )
    yield environment.get("AWS_ACCESS_KEY_ID", "")
    with suppress(ConfigurationError):
        yield from _of(_from_fsspec(environment))
    path = environment.get(CREDENTIALS_VARIABLE)
    with suppress(ConfigurationError):
        file = read_credentials_file(path) if path else None
        for store in file.stores if file else ():
            yield from _of(store.credentials)
        if file and file.cityscapes:
            yield file.cityscapes[1]


def _of(credentials: S3Credentials | None) -> Iterator[str]:
    if credentials is not None:
        yield from (
            value
            for value in (credentials.access_key, credentials.secret_key, credentials.session_token)
            if value
        )


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every secret replaced by `***`, as it is and as urls and json write it."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (
            (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
            if secret
            else ()
        ):
            text = text.replace(form, "***")
    return text
