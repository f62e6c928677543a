"""Looks up S3 credentials in the places where users already keep them.

The order: the credentials file that `DATASET_ASSETS_CREDENTIALS` names (see `credentials_file`), by
the name in `s3://name@bucket` or by a bucket of its `sets`; fsspec's configuration
(`~/.config/fsspec/s3.json`, `FSSPEC_S3_*`); the environment, a profile, and what boto3 finds by
itself. Errors name the source of credentials, never their values.
Format: https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration
"""

import configparser
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.credentials_file import (
    CredentialsFile,
    NamedStore,
    read_credentials_file,
)
from dataset_assets.storage.s3.credentials import S3Credentials

CREDENTIALS_VARIABLE = "DATASET_ASSETS_CREDENTIALS"
"""The environment variable with the path of the credentials file."""
_FSSPEC_KEYS = {
    "access_key": ("key", "aws_access_key_id"),
    "secret_key": ("secret", "aws_secret_access_key"),
    "session_token": ("token", "aws_session_token"),
    "endpoint_url": ("endpoint_url", "endpoint_url"),
    "region": ("region_name", "region_name"),
    "profile": ("profile", "profile_name"),
}
"""Field of S3Credentials -> keys of fsspec's configuration: at its top, and in `client_kwargs`."""


def resolve(
    name: str | None, bucket: str | None, environment: Mapping[str, str] = os.environ
) -> S3Credentials:
    """Return the credentials for a bucket, without asking a server.

    Args:
        name: of a store of the credentials file.
        bucket: used to find the store when no name is given.
        environment: the environment variables.

    Raises:
        ConfigurationError: no store of the credentials file has the name, several have the
            bucket, or a configuration is invalid.
    """
    path = environment.get(CREDENTIALS_VARIABLE)
    if name is not None and not path:
        raise ConfigurationError(
            f"s3://{name}@{bucket or 'bucket'} needs the credentials file with the entry {name!r}: "
            f"set {CREDENTIALS_VARIABLE} to its path"
        )
    if path:
        store = _store_in(read_credentials_file(path), name, bucket)
        if store is not None:
            return store.credentials
    return _from_fsspec(environment) or _from_environment(environment)


def _store_in(file: CredentialsFile, name: str | None, bucket: str | None) -> NamedStore | None:
    if name is not None:
        return file.named(name)
    return file.of_bucket(bucket) if bucket else None


def _from_environment(environment: Mapping[str, str]) -> S3Credentials:
    get = environment.get
    endpoint_url = None
    if get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") != "true":
        endpoint_url = get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL")
    general: dict[str, Any] = {
        "endpoint_url": endpoint_url or None,
        "verify": get("AWS_CA_BUNDLE") or True,
    }
    region = get("AWS_REGION") or get("AWS_DEFAULT_REGION")
    # as in boto3, keys in the environment take precedence over AWS_PROFILE
    if get("AWS_ACCESS_KEY_ID") or get("AWS_SECRET_ACCESS_KEY"):
        return S3Credentials(
            source="environment",
            access_key=get("AWS_ACCESS_KEY_ID") or None,
            secret_key=get("AWS_SECRET_ACCESS_KEY") or None,
            session_token=get("AWS_SESSION_TOKEN") or None,
            region=region or "us-east-1",
            **general,
        )
    profile = get("AWS_PROFILE") or get("AWS_DEFAULT_PROFILE") or None
    source = "boto3's own chain (default profile, container or instance)"
    if profile:
        source = f"profile {profile}"
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
            f"expected a profile of the AWS configuration; there is no {profile!r}; the profiles "
            f"are {known}"
        ) from exc


def _from_fsspec(environment: Mapping[str, str]) -> S3Credentials | None:
    """Return what fsspec's configuration says, completed from the environment.

    None when it says nothing about access.
    """
    options = _fsspec_options(environment)
    given = _given_in(options)
    anonymous = str(options.get("anon", "")).lower() in ("true", "1")
    if not given and not anonymous:
        return None
    base = _from_environment(environment)
    if anonymous or given.keys() & {"access_key", "secret_key", "profile"}:
        source = "fsspec configuration"
        own = dict.fromkeys(("access_key", "secret_key", "session_token", "profile"))
        given = {**own, **given}
        if profile := given["profile"]:
            given.setdefault("region", _region_of(profile))
    else:
        source = f"{base.source}, endpoint of the fsspec configuration"
    config = _mapping(options.get("config_kwargs"))
    if style := _mapping(config.get("s3")).get("addressing_style"):
        given["addressing_style"] = str(style)
    verify = _mapping(options.get("client_kwargs")).get("verify", base.verify)
    return replace(base, source=source, anonymous=anonymous, verify=verify, **given)


def _given_in(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of S3Credentials that fsspec's configuration has."""
    client = _mapping(options.get("client_kwargs"))
    found = {
        field: options.get(outer) or client.get(inner)
        for field, (outer, inner) in _FSSPEC_KEYS.items()
    }
    return {field: str(value) for field, value in found.items() if value}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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
    except (ValueError, TypeError, OSError, configparser.Error) as exc:
        # the text of the error is left out: it may quote the file
        raise ConfigurationError(
            f"fsspec's configuration cannot be read ({type(exc).__name__}): correct its json and "
            "ini files"
        ) from None
    return {**sections.get("s3", {}), **sections.get("s3a", {})}
