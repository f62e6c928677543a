import socket
import threading
import time

import pytest

from dataset_assets.fetch._target import Origin, parse
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.hosts.resolver import Resolution, Resolver, system_lookup
from dataset_assets.records.causes import Cause


def _origin(host: str) -> Origin:
    target = parse(f"http://{host}/")
    assert not isinstance(target[0], Cause)
    return target.origin  # type: ignore[union-attr]


def _ask(resolver: Resolver, *hosts: str, within_s: float = 2) -> dict[str, Resolution]:
    for host in hosts:
        resolver.ask(_origin(host))
    found: dict[str, Resolution] = {}
    deadline = time.monotonic() + within_s
    while len(found) < len(hosts) and time.monotonic() < deadline:
        found |= dict(resolver.collect(time.monotonic()))
        time.sleep(0.002)
    return found


def _resolver(
    lookup, *, threads: int = 8, timeout_s: float = 1.0, woken: list[int] | None = None
) -> Resolver:
    wake = (lambda: woken.append(1)) if woken is not None else (lambda: None)
    return Resolver(
        lookup,
        AddressGuard(("127.0.0.0/8",)),
        threads=threads,
        timeout_s=timeout_s,
        clock=time.monotonic,
        wake=wake,
    )


def test_allowed_addresses_are_pinned_when_a_name_has_several() -> None:
    woken: list[int] = []
    resolver = _resolver(
        lambda host, port: ["10.0.0.1", "127.0.0.1", "::1", "93.184.216.34"], woken=woken
    )
    names = _ask(resolver, "a.com")

    assert names["a.com:80"].pin == "+a.com:80:127.0.0.1,93.184.216.34"
    assert woken == [1]
    assert resolver.names["a.com:80"].expires > time.monotonic() + 300
    resolver.close()


def test_failure_says_what_kind_when_a_name_is_not_found() -> None:
    def lookup(host: str, port: int) -> list[str]:
        codes = {
            "gone.com": socket.EAI_NONAME,
            "empty.com": socket.EAI_NODATA,
            "later.com": socket.EAI_AGAIN,
            "broken.com": socket.EAI_FAIL,
        }
        if host in codes:
            raise socket.gaierror(codes[host], "no")
        return {"private.com": ["10.0.0.1"], "nothing.com": []}[host]

    resolver = _resolver(lookup)
    names = _ask(
        resolver, "gone.com", "empty.com", "later.com", "broken.com", "private.com", "nothing.com"
    )
    causes = {authority: name.failure.cause for authority, name in names.items() if name.failure}

    assert causes == {
        "gone.com:80": Cause.DNS_NOT_FOUND,
        "empty.com:80": Cause.DNS_NOT_FOUND,
        "later.com:80": Cause.DNS_TEMPORARY,
        "broken.com:80": Cause.DNS_TEMPORARY,
        "private.com:80": Cause.BLOCKED_ADDRESS,
        "nothing.com:80": Cause.DNS_NOT_FOUND,
    }
    resolver.close()


def test_name_fails_for_now_when_the_lookup_has_a_bug() -> None:
    resolver = _resolver(lambda host, port: {"b.com": ["127.0.0.1"]}[host], threads=1)
    names = _ask(resolver, "a.com", "b.com")

    assert names["a.com:80"].failure is not None
    assert names["b.com:80"].failure is None
    resolver.close()


def test_lookups_go_on_when_the_system_allows_no_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, started = threading.Thread.start, []

    def limited(self: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    resolver = _resolver(lambda host, port: ["127.0.0.1"])

    assert len(_ask(resolver, *(f"h{n}.com" for n in range(20)))) == 20
    resolver.close()


def test_lookup_is_given_up_when_it_takes_too_long() -> None:
    release = threading.Event()
    resolver = _resolver(lambda host, port: release.wait(5) and ["127.0.0.1"], timeout_s=0.1)
    names = _ask(resolver, "slow.com", within_s=1)
    release.set()

    assert names["slow.com:80"].failure is not None
    assert names["slow.com:80"].failure.cause is Cause.DNS_TEMPORARY
    resolver.close()


def test_second_lookup_has_only_the_time_that_the_first_one_left() -> None:
    asked: list[float] = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(time.monotonic())
        time.sleep(0.4)  # as long as the system waits for a name server that is silent
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    resolver = _resolver(lookup, timeout_s=0.6)
    began = time.monotonic()
    names = _ask(resolver, "silent.com")
    took_s = time.monotonic() - began

    assert names["silent.com:80"].failure is not None
    assert len(asked) == 2
    assert 0.6 <= took_s < 0.9
    time.sleep(0.3)  # the second lookup ends: nothing waits for it any more
    assert dict(resolver.collect(time.monotonic()))["silent.com:80"].failure is not None
    assert len(asked) == 2
    resolver.close()


def test_libcurl_is_told_of_names_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_assets.fetch.hosts.resolver._MAX_NAMES", 2)
    resolver = _resolver(lambda host, port: ["127.0.0.1"])
    for host in ("a.com", "b.com", "c.com", "d.com"):
        _ask(resolver, host)

    assert resolver.take_pins("d.com:80") == ["-a.com:80", "-b.com:80", "+d.com:80:127.0.0.1"]
    assert resolver.take_pins("d.com:80") == []
    assert resolver.take_pins("c.com:80") == ["+c.com:80:127.0.0.1"]
    resolver.close()


def test_lookups_run_at_the_same_time_when_there_are_threads_for_them() -> None:
    together = threading.Barrier(8, timeout=2)

    def lookup(host: str, port: int) -> list[str]:
        together.wait()
        return ["127.0.0.1"]

    resolver = _resolver(lookup)

    assert len(_ask(resolver, *(f"h{n}.com" for n in range(8)))) == 8
    resolver.close()


def test_threads_end_when_the_resolver_is_closed() -> None:
    before = threading.active_count()
    resolver = _resolver(lambda host, port: ["127.0.0.1"])
    _ask(resolver, *(f"h{n}.com" for n in range(20)))
    resolver.close()
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.005)

    assert threading.active_count() <= before


def test_system_knows_this_machine_when_asked() -> None:
    assert "127.0.0.1" in system_lookup("localhost", 80)
