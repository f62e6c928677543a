"""What only a strict server shows; `contracts/test_stores.py` runs on it, too.

Slow: it is another program, and syncs every write.
"""

import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataset_assets.errors import CredentialsRefused
from dataset_assets.storage.s3.upload import PART_BYTES
from dataset_assets.storage.stores.s3 import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def store(swift, request):
    return Store(f"s3://{swift.bucket('strict')}/{request.node.name}", swift.credentials)


def test_conditions_and_checksums_are_kept(store):
    found = store.capabilities()
    assert (found.range_status, found.conditional_writes, found.verifies_checksums) == (
        206,
        True,
        True,
    )


def test_later_writers_lose_when_sixteen_have_raced(store):
    """Of those that race several may win: Swift looks first, too."""
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: store.write_new("a", b"%d" % number), range(16)))
    assert won[int(store.read("a"))] is True
    assert store.write_new("a", b"later") is False


def test_wrong_secret_is_refused_in_one_line(swift, store):
    wrong = dataclasses.replace(swift.credentials, secret_key="wrong-secret-key")
    for act in (
        lambda each: each.read("a"),
        lambda each: each.info("a"),
        lambda each: each.check_writable(),
    ):
        with pytest.raises(
            CredentialsRefused,
            match=r"does not know the credentials \(swift\) \(SignatureDoesNotMatch\)",
        ) as caught:
            act(Store(store.url, wrong))
        assert "wrong-secret-key" not in str(caught.value)


def test_objects_stay_whole_when_the_server_is_killed_during_an_upload(swift, store):
    old, new = os.urandom(1000), os.urandom(2 * PART_BYTES + 5)
    store.write("a", old)
    with store.stage("a") as staged:
        staged.write(new)
        swift.kill()
        assert staged.bytes == len(new)
        threading.Timer(3, swift.start).start()
        staged.commit()  # the server is back before patience ends
    assert store.read("a") == new
    with store.stage("a") as staged:
        staged.write(bytes(PART_BYTES + 1))
        staged.close()
        swift.kill()
        swift.start()
        assert store.read("a") == new
    assert store.sweep(-3600) == 0
    assert [info.key for info in store.list()] == ["a"]
