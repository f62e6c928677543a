"""When a request to an S3 server is sent again, and the pauses between attempts."""

import random
from collections.abc import Callable
from typing import Any

from dataset_assets.storage.http import TRANSIENT_STATUSES

MAX_ATTEMPTS = 10
_FIRST_ATTEMPTS = 2
"""Attempts at an endpoint that has never answered: 2 x 5 s to connect, and a pause."""
_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 20.0


def backoff_s(failures: int, first_s: float, max_s: float) -> float:
    """Return a pause that doubles with every failure in a row, with jitter, in seconds."""
    pause_s: float = min(first_s * 2.0 ** (failures - 1), max_s)
    return pause_s * random.uniform(0.5, 1.0)


class RetryPolicy:
    """When a request is sent again, and after how long.

    For more than half a minute, so that a restart of the server does no harm; for a few seconds
    where the server has never answered, so that a wrong endpoint is found soon. boto3's own
    policy, which shares 35 retries among all threads of a client, decides on other errors only.
    """

    def __init__(self, on_answer: Callable[[], object] = lambda: None) -> None:
        self._has_answered = False
        self._on_answer = on_answer

    def decide(
        self,
        *,
        attempts: int,
        response: Any = None,
        caught_exception: BaseException | None = None,
        **_: object,
    ) -> float | bool | None:
        """Decide after an attempt; boto3 calls this.

        Returns:
            A pause in seconds, False to give up, or None for boto3's own policy.
        """
        from botocore.exceptions import ConnectionError as NoConnection
        from botocore.exceptions import HTTPClientError, SSLError

        if response is not None and not self._has_answered:
            self._has_answered = True
            self._on_answer()
        is_unreachable = isinstance(caught_exception, NoConnection)
        is_broken = isinstance(caught_exception, HTTPClientError) or (
            is_unreachable and not isinstance(caught_exception, SSLError)
        )
        if not is_broken and (
            response is None or response[0].status_code not in TRANSIENT_STATUSES
        ):
            return None
        is_new = is_unreachable and not self._has_answered
        if attempts >= (_FIRST_ATTEMPTS if is_new else MAX_ATTEMPTS):
            return False
        return backoff_s(attempts, _FIRST_PAUSE_S, _MAX_PAUSE_S)
