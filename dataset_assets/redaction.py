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
_URL_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
# In the query of a URL; the plain names also as a word of their own, as servers write them.
_SECRET_PARAMETER = re.compile(
    r"(?i)((?:(?<!\S)(?:(?:access_)?token|signature|sig|(?:api_?)?key|password)"
    r"|[?&;](?:[^=&\s]*(?:signature|token|secret|password|credential|policy)[^=&\s]*"
    r"|x-(?:amz|goog)-[a-z-]+|(?:[^=&\s]*[-_])?(?:api)?key|awsaccesskeyid|auth|sig))=)[^&\s'\"]+"
)

# Parameters that give access and say nothing about what is fetched. Not `key`, which often names an
# image, and no prefix of `redact` that would take parameters with other meanings.
_SIGNATURE_PARAMETER = re.compile(
    r"(?i)(?<=[?&;])(?:x-(?:amz|goog|oss|ms|cos)-[a-z0-9-]+|(?:aws|oss)accesskeyid|googleaccessid"
    r"|key-pair-id|(?:q-|hmac_?|x-)?sign(?:ature)?|sig|hdn(?:ts|ea)|__token__"
    r"|(?:access|auth|sas|security|session|id|refresh)?[-_]?token|auth[-_]?key"
    r"|(?:x-)?api[-_]?key|(?:client[-_]?)?secret|password|passwd|pwd)=[^&;#]*(?:[&;]|(?=#|$))"
)
_EMPTY_END = re.compile(r"[?&;]+(?=#|$)")

_AWS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return text without credentials in URLs, ids of AWS keys, and the secrets.

    Args:
        text: a URL, or any text that has URLs in it.
        secrets: values to replace by `***`, as they are and as URLs and JSON escape them.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
            text = text.replace(form, MASK)
    if "@" in text:
        text = _USERINFO.sub("://", text)
    if "=" in text:
        text = _SECRET_PARAMETER.sub(rf"\1{MASK}", text)
    return _AWS_KEY_ID.sub(MASK, text)


def without_userinfo(url: str) -> str:
    """Return one URL without user and password, and with its query as it is.

    For the URLs of a dataset's own lists, which are stored per row: no other part is changed.
    """
    return _URL_USERINFO.sub("", url, count=1) if "@" in url else url


def scrub_url(url: str) -> str:
    """Return one URL without userinfo and known signature parameters, for what is stored.

    A URL that has neither is returned unchanged. The others lose these parts and can often not be
    fetched any more: the list has the whole URL.
    """
    without = without_userinfo(url)
    if "=" not in without:
        return without
    scrubbed = _SIGNATURE_PARAMETER.sub("", without)
    return without if scrubbed == without else _EMPTY_END.sub("", scrubbed, count=1)
