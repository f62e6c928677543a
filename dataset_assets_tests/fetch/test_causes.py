import errno

import pycurl
import pytest

from dataset_assets.fetch._causes import MESSAGES, for_curl_error, for_status, one_line
from dataset_assets.records.causes import Cause


@pytest.mark.parametrize(
    ("code", "text", "number", "cause"),
    [
        (
            pycurl.E_COULDNT_CONNECT,
            "Failed to connect to 1.2.3.4:80",
            errno.ECONNREFUSED,
            Cause.CONNECTION_REFUSED,
        ),
        (
            pycurl.E_COULDNT_CONNECT,
            "Failed to connect to 1.2.3.4:80",
            errno.EHOSTUNREACH,
            Cause.CONNECTION_FAILED,
        ),
        (
            pycurl.E_COULDNT_CONNECT,
            "Failed to connect to 1.2.3.4:80",
            errno.ETIMEDOUT,
            Cause.TIMEOUT_CONNECT,
        ),
        (
            pycurl.E_OPERATION_TIMEDOUT,
            "Connection timed out after 10001 ms",
            0,
            Cause.TIMEOUT_CONNECT,
        ),
        (pycurl.E_OPERATION_TIMEDOUT, "SSL connection timeout", 0, Cause.TIMEOUT_CONNECT),
        (pycurl.E_OPERATION_TIMEDOUT, "Resolving timed out after 10001 ms", 0, Cause.DNS_TEMPORARY),
        (pycurl.E_RECV_ERROR, "Recv failure: Connection reset by peer", 0, Cause.CONNECTION_RESET),
        (pycurl.E_RECV_ERROR, "Too large response headers: 1 > 0", 0, Cause.PROTOCOL_ERROR),
        (
            pycurl.E_SSL_CONNECT_ERROR,
            "Recv failure: Connection reset by peer",
            0,
            Cause.CONNECTION_RESET,
        ),
        (
            pycurl.E_SSL_CONNECT_ERROR,
            "TLS connect error: error:0A00010B:SSL routines::wrong version number",
            0,
            Cause.TLS_ERROR,
        ),
        (pycurl.E_OUT_OF_MEMORY, "", 0, Cause.CONNECTION_FAILED),
    ],
)
def test_error_of_libcurl_becomes_a_cause_when_it_is_known(
    code: int, text: str, number: int, cause: Cause
) -> None:
    failure = for_curl_error(code, text, number)

    assert failure.cause is cause
    assert not any(word in failure.message for word in ("1.2.3.4", "10001", "0A00010B"))


def test_kind_of_certificate_problem_is_kept_when_a_connection_is_not_secure() -> None:
    expired = for_curl_error(
        pycurl.E_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate has expired", 0
    )
    wrong = for_curl_error(
        pycurl.E_PEER_FAILED_VERIFICATION,
        "SSL: no subject name matches target host name 'a.com'",
        0,
    )

    assert expired.message == "no secure connection: certificate has expired"
    assert wrong.message == "no secure connection: SSL: no subject name matches target host name"


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (404, "Not Found", "HTTP Error 404: Not Found"),
        (404, "", "HTTP Error 404: Not Found"),
        (521, "", "HTTP Error 521:"),
        (500, "a\x1b[31m b\x00" + "c" * 500, "HTTP Error 500: a [31m b " + "c" * 175),
    ],
)
def test_line_is_that_of_urllib_when_a_status_is_not_200(
    status: int, reason: str, message: str
) -> None:
    assert for_status(status, reason).message == message


def test_every_cause_of_a_fetch_has_a_line_when_no_status_does() -> None:
    from_status = {cause for cause in Cause if cause.value.startswith("http_")}
    from_content = {cause for cause in Cause if cause.status == "failed_to_resize"} | {
        Cause.HASH_MISMATCH
    }

    assert set(MESSAGES) == set(Cause) - from_status - from_content


@pytest.mark.parametrize(
    "text",
    [
        "https://bucket.example/x?X-Amz-Credential=canary&X-Amz-Signature=canary&y=1",
        "https://x.example/?Signature=canary&token=canary&api_key=canary&sig=canary",
        "http://user:canary@x.example/ and https://canary@y.example",
        "example: wrong token=canary",
    ],
)
def test_secrets_are_gone_when_a_text_is_made_one_line(text: str) -> None:
    assert "canary" not in one_line(text)
    assert "example" in one_line(text)


def test_text_is_one_short_line_when_it_comes_from_outside() -> None:
    assert one_line("a\n[ERROR] b\t\u2028c") == "a [ERROR] b c"
    assert len(one_line("x" * 1000)) == 200
