"""The credentials of one S3 endpoint, as a value: hashable, picklable, no secret in its `repr`."""

from dataclasses import dataclass, fields

from dataset_assets.errors import ConfigurationError
from dataset_assets.redaction import MASK

ADDRESSING_STYLES = ("auto", "path", "virtual")
_HIDDEN = ("access_key", "secret_key", "session_token")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class S3Credentials:
    """What a client needs.

    Without keys, boto3 looks for them: in the profile when one is named, else in its own chain.

    Raises:
        ConfigurationError: one of the two keys is missing, or a value is invalid.
    """

    source: str
    """Where they come from, for messages: "environment", "profile x", "creds.yaml: store"."""
    endpoint_url: str | None = None
    """http:// or https://; None is AWS, or what the profile says."""
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    region: str = "us-east-1"
    profile: str | None = None
    verify: bool | str = True
    """Whether certificates are checked; text is the path of a file of trusted certificates."""
    addressing_style: str = "auto"
    anonymous: bool = False
    """Send unsigned requests, for public buckets."""

    def __post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            missing = "access key" if self.access_key is None else "secret key"
            raise ConfigurationError(
                f"{self.source}: expected both an access key and a secret key, or none of them; "
                f"the {missing} is missing"
            )
        if self.addressing_style not in ADDRESSING_STYLES:
            known = ", ".join(ADDRESSING_STYLES)
            raise ConfigurationError(
                f"{self.source}: expected an addressing style of {known}, "
                f"got {self.addressing_style!r}"
            )
        url = self.endpoint_url
        if url is not None and not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{self.source}: expected an endpoint like https://host:port, got {url!r}"
            )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no text may show."""
        values = (getattr(self, name) for name in _HIDDEN)
        return tuple(value for value in values if value)

    def __repr__(self) -> str:
        shown = ((item.name, getattr(self, item.name), item.default) for item in fields(self))
        parts = (
            f"{name}={MASK if name in _HIDDEN else repr(value)}"
            for name, value, default in shown
            if value != default
        )
        return f"S3Credentials({', '.join(parts)})"
