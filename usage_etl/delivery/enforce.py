"""Makes the planned changes at a gateway, each once: written down, made, and written down as made.

Every call is idempotent, so a run after a crash makes what was intended again. A key or team that somebody else blocked is
left as it is, now and later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from usage_etl.delivery.limit_book import LimitBook
from usage_etl.delivery.litellm_admin import LiteLLMAdmin
from usage_etl.errors import GatewayError, LimitsNotAppliedError
from usage_etl.schemas.limits import Hold, LimitPlan, PlannedAction

NOT_KNOWN = 404


@dataclass(frozen=True)
class Applied:
    """What became of each action: made, skipped with why, or failed with why."""

    done: tuple[PlannedAction, ...]
    skipped: tuple[str, ...]


def apply_limits(plan: LimitPlan, gateway: LiteLLMAdmin, book: LimitBook) -> Applied:
    """Makes the actions of ``plan`` in order. One that fails leaves the others; LimitsNotAppliedError names them at the end."""
    holds: dict[tuple[str, str, str], Hold] = {(hold.kind, hold.scope_kind, hold.scope_id): hold for hold in book.holds()}
    done: list[PlannedAction] = []
    skipped: list[str] = []
    failures: list[GatewayError] = []
    for action in plan.actions:
        try:
            why = _made(action, gateway, book, holds)
        except GatewayError as error:
            book.fail(action, str(error))
            failures.append(error)
            continue
        if why is None:
            done.append(action)
        else:
            skipped.append(f"{action.action} {action.scope_kind} {action.scope_id}: {why}")
    if failures:
        is_permanent = all(error.is_permanent for error in failures)
        raise LimitsNotAppliedError([str(error) for error in failures], is_permanent=is_permanent)
    return Applied(tuple(done), tuple(skipped))


def _made(
    action: PlannedAction, gateway: LiteLLMAdmin, book: LimitBook, holds: Mapping[tuple[str, str, str], Hold]
) -> str | None:
    """Makes one action. Returns why nothing was to be done, null when it was made."""
    kind = "limit" if action.action in {"limit", "restore"} else "block"
    hold = holds.get((kind, action.scope_kind, action.scope_id))
    try:
        before = gateway.record(action.scope_kind, action.scope_id)
    except GatewayError as error:
        if error.status == NOT_KNOWN and action.action in {"unblock", "restore"}:
            return _dropped(book, action, "the gateway does not know it any more", None)
        raise
    if action.action == "block" and hold is None and before["blocked"]:
        return _dropped(book, action, "somebody else blocked it already; it stays theirs", before)
    first = book.intend(action, before)
    _tell(action, gateway, first)
    book.finish(action, before, gateway.record(action.scope_kind, action.scope_id))
    return None


def _dropped(book: LimitBook, action: PlannedAction, why: str, before: Mapping[str, Any] | None) -> str:
    book.drop(action, why, before)
    return why


def _tell(action: PlannedAction, gateway: LiteLLMAdmin, first: Mapping[str, Any]) -> None:
    scope = (action.scope_kind, action.scope_id)
    if action.action == "block":
        gateway.block(*scope)
    elif action.action == "unblock":
        gateway.unblock(*scope)
    elif action.action == "limit":
        gateway.set_budget(*scope, max_budget=action.limit_quantity, budget_duration=action.budget_duration)
    else:
        before = first["max_budget"]
        budget = None if before is None else Decimal(str(before))
        gateway.set_budget(*scope, max_budget=budget, budget_duration=first["budget_duration"])
