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
from dataset_assets.storage.credentials_file import read_credentials_file
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
        file = read_credentials_file(path)
        if name is not None:
            return file.named(name).credentials
        store = file.of_bucket(bucket) if bucket else None
        if store is not None:
            return store.credentials
    return _from_fsspec(environment) or _from_environment(environment)


def _from_environment(environment: Mapping[str, str]) -> S3Credentials:
    def get(*names: str) -> str | None:
        return next(filter(None, map(environment.get, names)), None)

    endpoint_url = get("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") == "true":
        endpoint_url = None
    # as in boto3, keys in the environment take precedence over AWS_PROFILE
    has_keys = get("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") is not None
    profile = None if has_keys else get("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    region = get("AWS_REGION", "AWS_DEFAULT_REGION")
    if has_keys:
        source = "environment"
        region = region or "us-east-1"
    elif profile:
        source = f"profile {profile}"
    else:
        source = "boto3's own chain (default profile, container or instance)"
    return S3Credentials(
        source=source,
        endpoint_url=endpoint_url,
        access_key=get("AWS_ACCESS_KEY_ID"),
        secret_key=get("AWS_SECRET_ACCESS_KEY"),
        session_token=get("AWS_SESSION_TOKEN") if has_keys else None,
        region=region or _region_of(profile),
        profile=profile,
        verify=get("AWS_CA_BUNDLE") or True,
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
