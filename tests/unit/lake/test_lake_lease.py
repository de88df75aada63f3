"""The lock of stores that have none: it is lost by the slow and the dead, never shared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from usage_etl.errors import TransientLakeError
from usage_etl.lake import FolderStore, folder, lease
from usage_etl.lake.lease import leased


class Slots:
    """Slots in memory; ``lose_answers`` makes the next swaps succeed without saying so."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[bytes, str]] = {}
        self.lose_answers = 0

    def read_slot(self, key: str) -> tuple[bytes, str] | None:
        return self.content.get(key)

    def swap_slot(self, key: str, data: bytes, *, expected: str | None) -> str | None:
        if (self.content[key][1] if key in self.content else None) != expected:
            return None
        version = str(int(expected or 0) + 1)
        self.content[key] = (data, version)
        if self.lose_answers:
            self.lose_answers -= 1
            return None
        return version


class Time:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def slots() -> Slots:
    return Slots()


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(lease, "time", clock)
    return clock


def test_a_lease_is_marked_free_at_its_end(slots: Slots, passing: Time) -> None:
    with leased(slots, "k") as assert_held:
        assert json.loads(slots.content["k"][0])["until"] == passing.now + lease.LEASE_SECONDS
        assert_held()
    assert json.loads(slots.content["k"][0]) == {"holder": "", "until": 0.0}
    with leased(slots, "k"):
        pass


def test_a_dead_holder_blocks_others_no_longer_than_its_lease(slots: Slots, passing: Time) -> None:
    start = passing.now
    dead = leased(slots, "k")
    dead.__enter__()
    with leased(slots, "k"):
        assert lease.LEASE_SECONDS <= passing.now - start < lease.LEASE_SECONDS + 1


def test_a_holder_that_was_too_slow_is_told_and_does_not_free_the_next_one_s_lease(slots: Slots, passing: Time) -> None:
    with leased(slots, "k") as assert_held:
        passing.now += lease.LEASE_SECONDS
        other = leased(slots, "k")
        other.__enter__()
        theirs = slots.content["k"]
        with pytest.raises(TransientLakeError, match="expired"):
            assert_held()
    assert slots.content["k"] == theirs


def test_a_lease_whose_answer_was_lost_is_ours(slots: Slots, passing: Time) -> None:
    start = passing.now
    slots.lose_answers = 1
    with leased(slots, "k"):
        assert passing.now - start < 1


def test_a_store_that_never_lets_a_lease_be_taken_is_given_up(
    slots: Slots, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "swap_slot", lambda *_, **__: None)
    with pytest.raises(TransientLakeError, match="holds the lock"), leased(slots, "k"):
        pass


def test_waiting_ends(slots: Slots, passing: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "WAIT_SECONDS", 10.0)
    other = leased(slots, "k")
    other.__enter__()
    with pytest.raises(TransientLakeError, match="another run holds the lock"), leased(slots, "k"):
        pass


def test_a_folder_s_lock_is_free_once_its_process_is_dead_and_not_before(
    folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import sys
from pathlib import Path
from usage_etl.lake.folder import FolderStore
with FolderStore(Path(sys.argv[1])).lock("a"):
    print("held", flush=True)
    sys.stdin.read()
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(Path(folder_store.address("k")).parent)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(folder, "_LOCK_WAIT_SECONDS", 0.05)
        with pytest.raises(TransientLakeError, match="another process holds the lock"), folder_store.lock("a"):
            pass
        holder.kill()
        holder.wait()
        with folder_store.lock("a"):
            pass
