import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.records.causes import Cause

PUBLIC = [
    "93.184.216.34",
    "1.1.1.1",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2a00:1450:4001::1",
]
PRIVATE = [
    *(
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "168.63.129.16",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.8",
    ),
    *(
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ),
    *(
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
    ),
    *(
        "2001::1",
        "2001:0:a9fe:a9fe::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
    ),
    *(
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "not an address",
        "",
    ),
]


@pytest.mark.parametrize("ip", PUBLIC)
def test_address_is_let_through_when_it_is_public(ip: str) -> None:
    assert AddressGuard().refuses(ip, 443) is None


@pytest.mark.parametrize("ip", PRIVATE)
def test_address_is_refused_when_it_is_not_public(ip: str) -> None:
    assert AddressGuard().refuses(ip, 443) is Cause.BLOCKED_ADDRESS


@pytest.mark.parametrize("ip", ["127.0.0.1", "::ffff:127.0.0.1", "127.255.0.1"])
def test_address_is_let_through_when_its_network_is_allowed(ip: str) -> None:
    guard = AddressGuard(("127.0.0.0/8", "fd00::/8"))

    assert guard.refuses(ip, 80) is None
    assert guard.refuses("fd00::5", 80) is None
    assert guard.refuses("10.0.0.1", 80) is Cause.BLOCKED_ADDRESS


@pytest.mark.parametrize("ip", [ip for ip in PRIVATE if "." in ip or ":" in ip])
def test_every_address_is_let_through_when_all_are_allowed(ip: str) -> None:
    assert AddressGuard(("all",)).refuses(ip, 80) is None


@pytest.mark.parametrize("port", [0, 22, 25, 53, 445, 3306, 6379, 6667, 11211])
def test_port_is_refused_when_something_else_listens_there(port: int) -> None:
    assert AddressGuard(("all",)).refuses("93.184.216.34", port) is Cause.BLOCKED_PORT


@pytest.mark.parametrize("port", [80, 443, 8080, 8443, 3000, 50000])
def test_port_is_let_through_when_http_may_be_there(port: int) -> None:
    assert AddressGuard().refuses("93.184.216.34", port) is None


def test_message_shows_the_network_when_it_is_not_one() -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.0/8.*'10\.0\.0\.0/40'"):
        AddressGuard(("10.0.0.0/40",))
