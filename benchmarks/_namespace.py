"""Private mount and network namespaces, so that a benchmark can be a whole network.

The process starts itself again inside them. There, all ports and loopback addresses are free, and
files such as /etc/resolv.conf can be covered; the machine's own settings are never touched, and
everything is gone with the last process.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

_INSIDE = "BENCHMARK_NAMESPACE"  # environment variable: we were started inside
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8913, 0x8914, 0x8916, 0x1
#: For documentation only. With 127.0.0.1 alone, resolvers that look at the configured addresses
#: (AI_ADDRCONFIG) find that there is no IPv4, and no name.
_OWN_ADDRESS = "192.0.2.1"


class NamespaceError(RuntimeError):
    """The system does not allow namespaces; the message says what to do."""


def enter_namespaces() -> None:
    """Start this program again in namespaces of its own, and bring up the loopback interface.

    Returns only inside. There, the process has the same id as before.

    Raises:
        NamespaceError: no `unshare`, or the system does not allow it.
    """
    if os.environ.get(_INSIDE) != "1":
        unshare = shutil.which("unshare")
        if unshare is None:
            raise NamespaceError(
                "expected `unshare` on PATH (Linux only), got none; do: apt-get install util-linux"
            )
        options = ["--mount", "--net"]
        if os.geteuid() != 0:
            options.append("--map-root-user")
        tried = subprocess.run(
            [unshare, *options, "true"], capture_output=True, text=True, check=False
        )
        if tried.returncode:
            raise NamespaceError(
                f"expected leave to create namespaces, got `{tried.stderr.strip()}`; run as root "
                "(in a container: with --privileged or --cap-add SYS_ADMIN --cap-add NET_ADMIN)"
            )
        arguments = [unshare, *options, "--", sys.executable, *sys.argv]
        os.execve(unshare, arguments, {**os.environ, _INSIDE: "1"})
    _bring_up_loopback()


def cover(path: str, text: str, folder: Path) -> None:
    """Let a system file have another text, for this namespace only.

    Args:
        path: the file, which exists.
        text: what it says here.
        folder: where the text is stored.

    Raises:
        NamespaceError: the mount was refused.
    """
    copy = folder / Path(path).name
    copy.write_text(text)
    done = subprocess.run(
        ["mount", "--bind", str(copy), os.path.realpath(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NamespaceError(
            f"expected to cover {path} in a mount namespace, got `{done.stderr.strip()}`; run as "
            "root, in a container that allows mounts"
        )


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack("16sh22x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
        address = socket.inet_aton(_OWN_ADDRESS)
        request = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, address)
        fcntl.ioctl(control, _SIOCSIFADDR, request)
