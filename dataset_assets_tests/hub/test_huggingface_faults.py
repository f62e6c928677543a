"""Publishing to a Hub that fails: one commit or a clear error, and readers get whole versions."""

import json
import logging
import os
import textwrap
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial

import pytest

from dataset_assets.errors import AccessDenied, DatasetAssetsError, HubError
from dataset_assets.hub import _client
from dataset_assets.hub.retry import RetryOptions
from dataset_assets.hub.targets import huggingface
from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.publications import hashes, small_publication

REPO = "org/photos"
VERSION = "0123456789abcdef" * 4


def _target(hub, token=None, **options):
    return huggingface.HubTarget(
        REPO,
        token=token or hub.token,
        retry=RetryOptions(first_delay_s=0.01, attempts=4),
        **options,
    )


def _publish(hub, files, **options):
    return _target(hub, **options).publish(files, version=VERSION, message="Publish")


def _titles(hub):
    return [commit.title for commit in hub.commits(REPO)]


def _ours(hub):
    return {path: digest for path, digest in hub.files(REPO).items() if path != ".gitattributes"}


@pytest.fixture
def no_backoff(monkeypatch):
    """Let the official client repeat its requests at once."""
    from huggingface_hub.utils import _http

    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        ("POST", "/commit/", {"after": True}),
        ("POST", "/commit/", {"close": True}),
        ("POST", "/commit/", {"status": 503, "times": 2}),
        ("POST", "/repos/create", {"status": 503, "times": 2}),
        ("POST", "/repos/create", {"after": True}),
        ("GET", "/api/datasets/org/photos$", {"status": 503}),
        ("GET", "/api/datasets/org/photos/revision/", {"close": True}),
        ("GET", "/tree/", {"cut_after": 10}),
        ("GET", "/refs$", {"status": 502}),
        ("POST", "/tag/", {"status": 503}),
        ("POST", "/tag/", {"after": True}),
        ("POST", "/repos/create", {"status": 429, "headers": {"Retry-After": "1"}}),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else value,
)
def test_exactly_one_commit_is_made_when_the_hub_has_a_bad_moment(hub, files, method, path, fault):
    injected = hub.fault(method, path, fault.pop("times", 1), **fault)
    published = _publish(hub, files)
    assert injected.times == 0
    assert (published.changed, published.added) == (True, len(files))
    assert _titles(hub) == ["Publish", "initial commit"]
    assert _ours(hub) == hashes(files)
    assert hub.tags(REPO) == {published.tag: published.revision}
    assert _publish(hub, files).changed is False


def test_both_are_kept_when_somebody_commits_at_the_same_time(any_hub, files):
    any_hub.fault(
        "POST",
        "/commit/",
        action=lambda: any_hub.write(REPO, {"other.txt": b"x", "data/other.parquet": b"x"}),
    )
    published = _publish(any_hub, files)
    assert _titles(any_hub) == ["Publish", "Someone else", "initial commit"]
    assert _ours(any_hub).keys() == {*hashes(files), "other.txt", "data/other.parquet"}
    assert (published.changed, published.added) == (True, len(files))


def test_publishing_stops_when_others_never_stop_to_commit(hub, files):
    numbers = iter(range(100))
    hub.fault(
        "POST",
        "/commit/",
        100,
        action=lambda: hub.write(REPO, {"other.txt": b"%d" % next(numbers)}),
    )
    with pytest.raises(HubError, match="gave up after 4 attempts"):
        _publish(hub, files)
    assert _ours(hub).keys() == {"other.txt"}


@pytest.mark.parametrize(("method", "path"), [("PUT", "/lfs/"), ("POST", "/commit/")])
def test_head_stays_when_the_hub_does_not_come_back(hub, files, store, no_backoff, method, path):
    first = _publish(hub, files)
    fault = hub.fault(method, path, 10_000, status=503)
    with pytest.raises(HubError, match=r"the Hub returned 503.*run again to resume"):
        _publish(hub, small_publication(store, seed=1))
    assert hub.commits(REPO)[0].oid == first.revision
    assert _ours(hub) == hashes(files)
    fault.times = 0
    again = small_publication(store, seed=1)
    assert _publish(hub, again).changed
    assert _ours(hub) == hashes(again)


def test_publishing_stops_when_the_hub_does_not_answer_at_all(files):
    target = huggingface.HubTarget(
        REPO,
        token="hf_none",
        endpoint="http://127.0.0.1:9",
        retry=RetryOptions(first_delay_s=0, attempts=2),
    )
    with pytest.raises(HubError, match="the Hub did not respond"):
        target.publish(files, version=VERSION, message="Publish")


def test_publishing_stops_when_the_hub_is_silent_for_too_long(hub, files, monkeypatch):
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    monkeypatch.setattr(_client, "_READ_TIMEOUT_S", 0.7)
    set_client_factory(default_client_factory)
    _client._set_timeouts.cache_clear()
    asked = []
    hub.fault(
        "POST",
        "/repos/create",
        2,
        action=lambda: asked.append(1) or (len(asked) == 1 and time.sleep(2)),
    )
    try:
        assert _publish(hub, files).changed
    finally:
        set_client_factory(default_client_factory)
        _client._set_timeouts.cache_clear()
    assert len(asked) == 2


def test_wrong_bytes_are_found_when_the_commit_is_not_what_was_sent(hub, files):
    def tamper():
        if len(hub.commits(REPO)) > 1:
            hub.tamper(REPO, files[0].path, b"something else")

    hub.fault("GET", "/tree/", 100, action=tamper)
    with pytest.raises(
        HubError, match=rf"{files[0].path} differs .* right after its commit \(1 of"
    ):
        _publish(hub, files)
    assert hub.tags(REPO) == {}


PUBLISH_IN_A_PROCESS = """
    import json, os, signal, sys
    from huggingface_hub import HfApi
    from dataset_assets.hub.targets import huggingface
    from dataset_assets.records.publications import PublishFile

    if sys.argv[4] == "killed":
        HfApi.create_commit = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
    files = [PublishFile(**file) for file in json.load(open(sys.argv[1]))]
    target = huggingface.HubTarget(sys.argv[2], token=sys.argv[3])
    print(target.publish(files, version="0" * 64, message="Publish").added)
"""


def test_nothing_is_sent_twice_when_killed_between_upload_and_commit(
    any_hub, files, tmp_path, warm_python
):
    (tmp_path / "files.json").write_text(json.dumps([asdict(file) for file in files]))
    publish = partial(
        warm_python.run,
        "-c",
        textwrap.dedent(PUBLISH_IN_A_PROCESS),
        tmp_path / "files.json",
        REPO,
        any_hub.token,
        env=os.environ | any_hub.environment(signed_in=False),
    )

    killed = publish("killed")
    assert killed.returncode == -9, killed.stdout
    assert _titles(any_hub) == ["initial commit"]
    sent = _content(any_hub)
    assert sent

    any_hub.forget()
    whole = publish("whole")
    assert whole.stdout.split()[-1:] == [str(len(files))], whole.stdout
    assert any_hub.count("PUT", "") == 0
    assert _content(any_hub) == sent
    assert _titles(any_hub) == ["Publish", "initial commit"]
    assert _ours(any_hub) == hashes(files)


def _content(hub):
    """Return the pieces of large files that the Hub stores."""
    folder = hub.folder / ("cas/xet/xorbs/xorbs" if hub.xet else "lfs")
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_advice_is_given_when_the_hub_has_no_xet_storage(hub, files, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(HubError, match="set HF_HUB_DISABLE_XET=1"):
        _publish(hub, files)
    assert _titles(hub) == ["initial commit"]


FAILURES = {
    "bad token": (AccessDenied, "rejects this token", {"token": "hf_bad_0123456789"}, None),
    "token that may only read": (AccessDenied, "lacks permission", {"token": "hf_read"}, None),
    "upload forbidden": (
        AccessDenied,
        "lacks permission",
        {},
        ("PUT|GET", "/lfs/|write-token", {"status": 403}),
    ),
    "commit forbidden": (
        AccessDenied,
        "lacks permission",
        {},
        ("POST", "/commit/", {"status": 403}),
    ),
    "commit refused": (
        HubError,
        "committing failed: 400",
        {},
        ("POST", "/commit/", {"status": 400}),
    ),
    "commit never answered": (
        HubError,
        "did not respond",
        {},
        ("POST", "/commit/", {"close": True}),
    ),
    "tree never listed": (HubError, "returned 503", {}, ("GET", "/tree/", {"status": 503})),
    "repository never made": (
        HubError,
        "returned 500",
        {},
        ("POST", "/repos/create", {"status": 500}),
    ),
    "tag refused": (HubError, "creating the tag", {}, ("POST", "/tag/", {"status": 400})),
    "too many requests": (HubError, "returned 429", {}, ("POST", "/repos/create", {"status": 429})),
}


@pytest.mark.parametrize("name", FAILURES)
def test_one_line_says_what_to_do_and_no_token_when_it_fails(
    hub, files, name, no_backoff, caplog, capfd
):
    _check_failure(hub, files, name, caplog, capfd)


def test_one_line_says_what_to_do_and_no_token_when_xet_is_forbidden(
    any_hub, files, no_backoff, caplog, capfd
):
    _check_failure(any_hub, files, "upload forbidden", caplog, capfd)


def _check_failure(hub, files, name, caplog, capfd):
    kind, said, options, fault = FAILURES[name]
    token = options.get("token", hub.token)
    caplog.set_level(logging.DEBUG)
    if fault:
        method, path, how = fault
        hub.fault(
            method, path, 10_000, **how, headers={"X-Error-Message": f"not with the token {token}"}
        )
    target = _target(hub, **options)
    with pytest.raises(DatasetAssetsError) as caught:
        target.publish(files, version=VERSION, message="Publish")
    assert type(caught.value) is kind or (kind is HubError and isinstance(caught.value, HubError))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert REPO in str(caught.value)
    out, err = capfd.readouterr()
    frames = [
        *traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    ]
    own = "".join(frame for frame in frames if __file__ not in frame)
    logged = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith("httpcore")
    )
    for text in (str(caught.value), own, repr(target), str(vars(target)), logged, out, err):
        assert token not in text
    assert hub.leaks == []


def test_private_repository_is_not_seen_when_no_token_is_given(hub, files):
    published = _publish(hub, files)
    stranger = huggingface.HubTarget(REPO, token=None, retry=RetryOptions(attempts=1))
    assert stranger.head() is None
    with pytest.raises(AccessDenied, match="no token was given; set HF_TOKEN"):
        stranger.verify(files, published.revision)
    with pytest.raises(AccessDenied, match="no token was given"):
        stranger.publish(files, version=VERSION, message="Publish")
    assert _target(hub).verify(files, published.revision) == []


def test_environment_gives_no_token_when_the_caller_gives_none(hub, files, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    with pytest.raises(AccessDenied, match="no token was given"):
        huggingface.HubTarget(REPO, token=None).publish(files, version=VERSION, message="Publish")


def test_one_commit_is_made_when_two_writers_publish_the_same_at_once(any_hub, files):
    with ThreadPoolExecutor(2) as writers:
        both = list(writers.map(lambda _: _publish(any_hub, files), range(2)))
    assert _titles(any_hub) == ["Publish", "initial commit"]
    assert {one.revision for one in both} == {any_hub.commits(REPO)[0].oid}
    assert _ours(any_hub) == hashes(files)


def test_head_is_one_whole_publication_when_two_writers_publish_at_once(hub, tmp_path):
    publications = [
        small_publication(open_store(str(tmp_path / f"split-{seed}")), seed=seed)
        for seed in range(2)
    ]
    with ThreadPoolExecutor(2) as writers:
        list(writers.map(lambda files: _publish(hub, files), publications))
    assert _titles(hub) == ["Publish", "Publish", "initial commit"]
    assert _ours(hub) in [hashes(files) for files in publications]
