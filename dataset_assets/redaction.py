"""Removes secrets from text before it is shown, logged or stored. Nothing else does so."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
# `user:password@` of any scheme, and on http a lone `user@`, which is a token there. Not in
# `github://org:repo@ref`, where fsspec has the repository. A password may have unescaped slashes;
# a port may precede a path with an "@".
_USERINFO = re.compile(
    r"(?<!github)://[^/?#\s@]*:(?:[^/\s]*|(?!\d*[/?#])[^\s@]*)@"
    r"|(?<=http)://[^/?#\s]*@|(?<=https)://[^/?#\s]*@"
)
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[^=&\s]*(?:signature|token|secret|password|credential|policy)[^=&\s]*"
    r"|x-(?:amz|goog)-[a-z-]+|(?:[^=&\s]*[-_])?(?:api)?key|awsaccesskeyid|auth|sig)=)[^&\s'\"]+"
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text without user names, passwords and signatures in URLs, and without the secrets.

    Args:
        text: a URL, or any text that has URLs in it.
        secrets: values to replace by `***`, as they are and as URLs and JSON escape them.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
            text = text.replace(form, MASK)
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub("://", text))
