"""Takes secrets out of text before it is shown, logged or stored. The only place that does so."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
# `user:password@` of any scheme, and on http a lone `user@`, which is a token there. Not of
# `github://org:repo@ref`, where fsspec writes the repository in this place.
_USERINFO = re.compile(
    r"(?<!github)://[^/?#\s@]*:[^/\s]*@|(?<=http)://[^/?#\s]*@|(?<=https)://[^/?#\s]*@"
)
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[^=&\s]*(?:signature|token|secret|password|credential|policy)[^=&\s]*"
    r"|x-(?:amz|goog)-[a-z-]+|(?:[^=&\s]*[-_])?(?:api)?key|awsaccesskeyid|auth|sig)=)[^&\s'\"]+"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text in which no URL has a user, a password or a signature, and no secret stands.

    Args:
        text: a URL, or any text with URLs in it.
        secrets: values that must not appear, as they are or as URLs and JSON write them; they
            become `***`.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
            text = text.replace(form, MASK)
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub("://", text))
