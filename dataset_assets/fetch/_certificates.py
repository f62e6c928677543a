"""The file of certificate authorities that this machine trusts."""

import ssl
from pathlib import Path

_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def default_ca_file() -> str | None:
    """Return the system's file of certificate authorities, or certifi's, or None.

    Wheels with their own TLS library look in the location of Red Hat systems only.
    """
    for path in (ssl.get_default_verify_paths().cafile, *_CA_FILES):
        if path and Path(path).is_file():
            return path
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()
