"""The credentials of one S3 endpoint, as a value: hashable, picklable, and without a secret in its `repr`."""

from dataclasses import dataclass, fields

from dataset_assets.errors import ConfigurationError

ADDRESSING_STYLES = ("auto", "path", "virtual")
_HIDDEN = ("access_key", "secret_key", "session_token")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class S3Credentials:
    """What a client needs. Without keys boto3's own chain is asked: the profile when one is named, else whatever it finds."""

    source: (
        str  # where they come from, for messages: "environment", "profile x", "creds.yaml: store"
    )
    endpoint_url: str | None = None  # None: AWS, or what the profile says
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    region: str = "us-east-1"
    profile: str | None = None
    verify: bool | str = True  # str: path of a file of certificates
    addressing_style: str = "auto"
    anonymous: bool = False  # unsigned requests, for public buckets

    def __post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            missing = "access key" if self.access_key is None else "secret key"
            raise ConfigurationError(
                f"{self.source}: expected both an access key and a secret key, or none of them; the {missing} is missing"
            )
        if self.addressing_style not in ADDRESSING_STYLES:
            known = ", ".join(ADDRESSING_STYLES)
            raise ConfigurationError(
                f"{self.source}: expected an addressing style of {known}; got {self.addressing_style!r}"
            )
        if self.endpoint_url is not None and not self.endpoint_url.startswith(
            ("http://", "https://")
        ):
            raise ConfigurationError(
                f"{self.source}: expected an endpoint like https://host:port; got {self.endpoint_url!r}"
            )

    def __repr__(self) -> str:
        shown = ((item.name, getattr(self, item.name), item.default) for item in fields(self))
        parts = (
            f"{name}={'***' if name in _HIDDEN else repr(value)}"
            for name, value, default in shown
            if value != default
        )
        return f"S3Credentials({', '.join(parts)})"
