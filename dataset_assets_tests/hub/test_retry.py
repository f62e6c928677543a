"""Which failures pass by themselves, and how long they are waited for."""

import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx

from dataset_assets.errors import ConfigurationError
from dataset_assets.hub.retry import (
    RetryOptions,
    asked_delay_s,
    call_with_retry,
    is_transient,
    status_of,
)


def _answer(status, **headers):
    response = httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://hub"))
    return HfHubHTTPError(f"{status}", response=response)


def _because(error, cause):
    error.__cause__ = cause
    return error


def _xet(status):
    return ConnectionError(
        f"Network error: Request error: HTTP status client error ({status} Some Words), domain: http://hub"
    )


class Calls:
    """A call that fails with these errors, one after the other, and then works."""

    def __init__(self, *errors):
        self.errors, self.count = list(errors), 0

    def __call__(self):
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_failure_passes_when_the_server_is_busy(status):
    for error in (
        _answer(status),
        _because(RuntimeError("uploading"), _answer(status)),
        _xet(status),
    ):
        assert is_transient(error)
        assert status_of(error) == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413])
def test_failure_stays_when_a_person_has_to_act(status):
    for error in (
        _answer(status),
        _because(RuntimeError("uploading"), _answer(status)),
        _xet(status),
    ):
        assert not is_transient(error)


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), ConnectionResetError("x"), TimeoutError("x")],
)
def test_failure_passes_when_no_answer_came(error):
    assert is_transient(error)
    assert is_transient(_because(RuntimeError("uploading"), error))
    assert status_of(error) is None


@pytest.mark.parametrize(
    "error", [OfflineModeIsEnabled("x"), ValueError("x"), RuntimeError("x"), FileNotFoundError("x")]
)
def test_failure_stays_when_it_is_on_this_machine(error):
    assert not is_transient(error)


def test_call_is_repeated_with_longer_waits_when_it_fails_for_a_moment():
    slept, call = [], Calls(_answer(503), httpx.ReadError("x"), _answer(500))
    options = RetryOptions(
        attempts=4, first_delay_s=1, max_delay_s=3, sleep=slept.append, jitter=lambda: 0
    )
    assert call_with_retry(call, options) == "done"
    assert slept == [1, 2, 3]


def test_last_failure_comes_through_when_all_attempts_fail():
    slept, errors = [], [_answer(503) for _ in range(9)]
    call = Calls(*errors)
    with pytest.raises(HfHubHTTPError) as caught:
        call_with_retry(call, RetryOptions(attempts=3, sleep=slept.append))
    assert caught.value is errors[2]
    assert (call.count, len(slept)) == (3, 2)


@pytest.mark.parametrize("error", [_answer(403), ValueError("x"), KeyError("x")])
def test_call_is_made_once_when_its_failure_stays(error):
    call = Calls(error)
    with pytest.raises(type(error)):
        call_with_retry(call, RetryOptions(sleep=pytest.fail))
    assert call.count == 1


@pytest.mark.parametrize(
    ("error", "asked_s"),
    [
        (_answer(503, **{"Retry-After": "7"}), 7),
        (_answer(429, RateLimit='"api";r=0;t=55'), 56),
        (_answer(503, RateLimit='"api";r=400;t=55'), 0),
        (_answer(429, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0),
        (_because(RuntimeError("uploading"), _answer(429, **{"Retry-After": "7"})), 7),
        (httpx.ReadError("x"), 0),
    ],
)
def test_server_is_asked_how_long_when_it_says(error, asked_s):
    assert asked_delay_s(error) == asked_s


def test_wait_has_an_end_when_the_server_asks_for_hours():
    error = _answer(429, **{"Retry-After": "7200"})
    assert RetryOptions(max_delay_s=60).delay_s(1, error) == 60


@pytest.mark.parametrize("options", [{"attempts": 0}, {"first_delay_s": -1}, {"max_delay_s": 0.5}])
def test_options_are_refused_when_they_can_not_work(options):
    with pytest.raises(ConfigurationError, match="retry: expected"):
        RetryOptions(**options)
