import pytest

from dataset_assets.fetch.engine import event_loop as _descriptors


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "connections"),
    [
        (1024, 1024, 256, 256),
        (64, 64, 256, 26),
        (64, 20_000, 4000, 4000),
        (1024, 4096, 10_000, 3942),
        (20, 20, 256, 1),
    ],
)
def test_connections_fit_into_the_limit_when_it_is_low(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, connections: int
) -> None:
    monkeypatch.setattr(_descriptors, "_open_now", lambda: 10)
    monkeypatch.setattr(_descriptors.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(_descriptors.resource, "setrlimit", lambda *_: None)
    budget = _descriptors.budget(wanted)

    assert budget.connections == connections
    assert 1 <= budget.lookups <= _descriptors.MAX_LOOKUPS


def test_what_there_is_is_used_when_the_limit_can_not_be_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(_descriptors, "_open_now", lambda: 10)
    monkeypatch.setattr(_descriptors.resource, "getrlimit", lambda _: (64, 4096))
    monkeypatch.setattr(_descriptors.resource, "setrlimit", refuse)

    assert _descriptors.budget(256).connections == 26
