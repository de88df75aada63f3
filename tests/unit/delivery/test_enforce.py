"""Limits at a gateway: a real server that answers as LiteLLM's admin interface does, with its refusals, pauses and silences."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tests.unit.delivery import litellm_server
from usage_etl.delivery.enforce import apply_limits
from usage_etl.delivery.limit_book import LimitBook
from usage_etl.delivery.litellm_admin import LiteLLMAdmin
from usage_etl.errors import GatewayError, LimitsNotAppliedError, TransientGatewayError
from usage_etl.schemas.limits import LimitPlan, PlannedAction

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
END = dt.date(2026, 11, 30)


@dataclass
class Gateway:
    """The server from outside: adds keys and teams, orders faults, tells what was asked."""

    url: str

    def add(self, room: str, member: str, **record: Any) -> None:
        httpx.post(f"{self.url}/_add", json={"room": room, "id": member, **record}, trust_env=False)

    def fault(self, path: str, status: int, *, times: int = 1, **more: Any) -> None:
        httpx.post(f"{self.url}/_fault", json={"path": path, "status": status, "times": times, **more}, trust_env=False)

    def calls(self, *verbs: str) -> list[tuple[str, dict[str, Any]]]:
        found = httpx.get(f"{self.url}/_calls", trust_env=False).json()
        return [(path, body) for _, path, body, _ in found if not verbs or path.rsplit("/", 1)[1] in verbs]

    def record(self, room: str, member: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/_record", params={"room": room, "id": member}, trust_env=False).json())

    def admin(self, key: str = litellm_server.ADMIN_KEY, *, timeout_s: float = 20) -> LiteLLMAdmin:
        return LiteLLMAdmin(self.url, key, timeout_s=timeout_s, pause=lambda _: None)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    process = subprocess.Popen([sys.executable, str(Path(litellm_server.__file__))], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Gateway(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def book(engine: sa.Engine, gateway: Gateway) -> LimitBook:
    return LimitBook(engine, gateway.url, clock=lambda: NOON)


def action(name: str, scope: str = "api_key:hash-1", *, limit: str = "10", duration: str | None = None) -> PlannedAction:
    kind, _, member = scope.partition(":")
    return PlannedAction(name, kind, member, "q", "because", Decimal(limit), END, duration)  # type: ignore[arg-type]  # tests name any


def plan(*actions: PlannedAction) -> LimitPlan:
    return LimitPlan(actions)


def outcomes(book: LimitBook) -> list[tuple[str, str]]:
    return [(entry.action, entry.outcome) for entry in reversed(book.log(limit=100))]


def test_a_key_is_blocked_and_served_again_with_before_and_after_in_the_log(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1", max_budget=5.0)
    with gateway.admin() as admin:
        apply_limits(plan(action("block")), admin, book)
        assert gateway.record("key", "hash-1")["blocked"] is True
        assert [(hold.scope_id, hold.kind, hold.state) for hold in book.holds()] == [("hash-1", "block", "held")]
        apply_limits(plan(action("unblock")), admin, book)
    assert gateway.record("key", "hash-1")["blocked"] is False
    assert book.holds() == []
    assert gateway.calls("block", "unblock") == [("/key/block", {"key": "hash-1"}), ("/key/unblock", {"key": "hash-1"})]
    assert outcomes(book) == [("block", "intended"), ("block", "done"), ("unblock", "intended"), ("unblock", "done")]
    done = book.log(limit=3)[2]
    assert (done.before, done.after) == (
        {"blocked": False, "max_budget": 5.0, "budget_duration": None},
        {"blocked": True, "max_budget": 5.0, "budget_duration": None},
    )


def test_a_team_is_blocked_by_its_id(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("team", "web")
    with gateway.admin() as admin:
        apply_limits(plan(action("block", "team:web")), admin, book)
    assert gateway.calls("block") == [("/team/block", {"team_id": "web"})]


def test_a_budget_is_written_exactly_and_what_stood_before_comes_back(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1", max_budget=7.25, budget_duration="7d")
    with gateway.admin() as admin:
        apply_limits(plan(action("limit", limit="1234.50", duration="30d")), admin, book)
        apply_limits(plan(action("limit", limit="1300", duration="30d")), admin, book)
        assert gateway.record("key", "hash-1")["max_budget"] == 1300
        apply_limits(plan(action("restore")), admin, book)
    assert [body for _, body in gateway.calls("update")] == [
        {"key": "hash-1", "budget_duration": "30d", "max_budget": 1234.5},
        {"key": "hash-1", "budget_duration": "30d", "max_budget": 1300},
        {"key": "hash-1", "budget_duration": "7d", "max_budget": 7.25},
    ]
    assert book.holds() == []


def test_what_somebody_else_blocked_is_never_ours(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1", blocked=True)
    with gateway.admin() as admin:
        applied = apply_limits(plan(action("block")), admin, book)
    assert applied.done == ()
    assert applied.skipped == ("block api_key hash-1: somebody else blocked it already; it stays theirs",)
    assert book.holds() == []
    assert gateway.calls("block") == []


def test_a_wrong_admin_key_is_named_and_changes_nothing(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1")
    with (
        gateway.admin("sk-wrong") as admin,
        pytest.raises(LimitsNotAppliedError, match="401, the admin key is not accepted") as error,
    ):
        apply_limits(plan(action("block")), admin, book)
    assert error.value.is_permanent
    assert book.holds() == []
    assert "sk-wrong" not in str(error.value)
    assert len(gateway.calls()) == 1


def test_an_unknown_key_fails_and_the_others_are_changed(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-2")
    with gateway.admin() as admin, pytest.raises(LimitsNotAppliedError, match="404, it is not known there"):
        apply_limits(plan(action("block", "api_key:gone"), action("block", "api_key:hash-2")), admin, book)
    assert gateway.record("key", "hash-2")["blocked"] is True
    assert [hold.scope_id for hold in book.holds()] == ["hash-2"]


def test_a_key_that_is_gone_needs_no_unblocking(gateway: Gateway, book: LimitBook, engine: sa.Engine) -> None:
    gateway.add("key", "hash-1")
    with gateway.admin() as admin:
        apply_limits(plan(action("block")), admin, book)
    other = LimitBook(engine, gateway.url, clock=lambda: NOON)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE usage_etl_limit_holds SET scope_id = 'deleted'"))
    with gateway.admin() as admin:
        applied = apply_limits(plan(action("unblock", "api_key:deleted")), admin, other)
    assert applied.skipped == ("unblock api_key deleted: the gateway does not know it any more",)
    assert other.holds() == []


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_busy_gateway_is_asked_again(gateway: Gateway, book: LimitBook, status: int) -> None:
    gateway.add("key", "hash-1")
    gateway.fault("/key/block", status, times=2, retry_after="1")
    with gateway.admin() as admin:
        apply_limits(plan(action("block")), admin, book)
    assert len(gateway.calls("block")) == 3
    assert outcomes(book)[-1] == ("block", "done")


def test_a_pause_is_as_long_as_the_gateway_asks_but_no_longer_than_half_a_minute(gateway: Gateway) -> None:
    gateway.add("key", "hash-1")
    gateway.fault("/key/info", 429, retry_after="7")
    gateway.fault("/key/info", 429, retry_after="900")
    gateway.fault("/key/info", 500)
    pauses: list[float] = []
    with LiteLLMAdmin(gateway.url, litellm_server.ADMIN_KEY, timeout_s=20, pause=pauses.append) as admin:
        admin.record("api_key", "hash-1")
    assert pauses == [7.0, 30.0, 2.0]


def test_a_gateway_that_stays_broken_may_be_tried_in_a_later_run(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1")
    gateway.fault("/key/info", 500, times=99)
    with gateway.admin() as admin, pytest.raises(LimitsNotAppliedError, match="answered 500") as error:
        apply_limits(plan(action("block")), admin, book)
    assert not error.value.is_permanent
    assert outcomes(book) == [("block", "failed")]


def test_a_timeout_is_a_named_error(gateway: Gateway) -> None:
    gateway.add("key", "hash-1")
    gateway.fault("/key/info", 200, times=9, sleep=3)
    with gateway.admin(timeout_s=0.2) as admin, pytest.raises(TransientGatewayError, match="no answer"):
        admin.record("api_key", "hash-1")


def test_nobody_listening_is_a_named_error(gateway: Gateway) -> None:
    with (
        LiteLLMAdmin("http://127.0.0.1:9", "sk", timeout_s=1, pause=lambda _: None) as admin,
        pytest.raises(TransientGatewayError, match="no answer"),
    ):
        admin.record("api_key", "hash-1")


def test_an_answer_that_is_no_record_is_a_named_error(gateway: Gateway) -> None:
    gateway.fault("/key/info", 200)
    with gateway.admin() as admin, pytest.raises(GatewayError, match="answered without info"):
        admin.record("api_key", "hash-1")


def test_a_block_whose_answer_is_lost_is_ours_and_is_taken_back(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1")
    gateway.fault("/key/block", 500, times=99, after=True)
    with gateway.admin() as admin, pytest.raises(LimitsNotAppliedError):
        apply_limits(plan(action("block")), admin, book)
    assert gateway.record("key", "hash-1")["blocked"] is True
    assert [hold.state for hold in book.holds()] == ["intended"]
    with gateway.admin() as admin:
        apply_limits(plan(action("unblock")), admin, book)
    assert gateway.record("key", "hash-1")["blocked"] is False
    assert book.holds() == []


class _Crash(BaseException):
    """The process dies."""


@pytest.mark.parametrize("moment", ["before the call", "after the call"])
def test_a_crash_between_call_and_record_loses_no_track(
    gateway: Gateway, book: LimitBook, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    gateway.add("key", "hash-1", max_budget=3)

    def die(*_: object) -> None:
        raise _Crash

    with gateway.admin() as admin, monkeypatch.context() as patched:
        place, name = (admin, "block") if moment == "before the call" else (book, "finish")
        patched.setattr(place, name, die)
        with pytest.raises(_Crash):
            apply_limits(plan(action("block")), admin, book)
    assert gateway.record("key", "hash-1")["blocked"] is (True if moment == "after the call" else None)
    assert [(hold.state, hold.before["blocked"]) for hold in book.holds()] == [("intended", False)]
    with gateway.admin() as admin:
        assert len(apply_limits(plan(action("block")), admin, book).done) == 1
        assert [(hold.state, hold.before["blocked"]) for hold in book.holds()] == [("held", False)]
        apply_limits(plan(action("unblock")), admin, book)
    assert gateway.record("key", "hash-1")["blocked"] is False


def test_the_same_plan_twice_leaves_one_hold(gateway: Gateway, book: LimitBook) -> None:
    gateway.add("key", "hash-1")
    with gateway.admin() as admin:
        apply_limits(plan(action("block")), admin, book)
        apply_limits(plan(action("block")), admin, book)
    assert len(book.holds()) == 1
    assert book.holds()[0].before["blocked"] is False


def test_holds_of_another_gateway_are_not_ours(gateway: Gateway, book: LimitBook, engine: sa.Engine) -> None:
    gateway.add("key", "hash-1")
    with gateway.admin() as admin:
        apply_limits(plan(action("block")), admin, book)
    assert LimitBook(engine, "https://other", clock=lambda: NOON).holds() == []
