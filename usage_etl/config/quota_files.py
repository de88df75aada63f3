"""Faults of quotas.csv and entitlements.csv that no single cell shows, and the budgets as the quotas that they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from usage_etl.config.cells import FileRows, Row
from usage_etl.config.directory_members import Member, member_text, span_of
from usage_etl.config.spans import Span, pieces, runs
from usage_etl.schemas.quotas import MONEY_MEASURES, QUOTA_KEY

QUOTAS_FILE = "quotas.csv"
ENTITLEMENTS_FILE = "entitlements.csv"
BUDGETS_FILE = "budgets.csv"
_OF_A_BUDGET: Mapping[str, Any] = MappingProxyType(
    {"measure": "effective_cost", "period_kind": "calendar_month", "enforcement": "soft"}
)


def set_aside_quotas(found: FileRows, problems: list[str]) -> None:
    """Moves quotas whose measure, limit and currency do not go together to ``found.faulty``, and names why."""
    sound: list[Row] = []
    for row in found.rows:
        faults = list(_quota_faults(row))
        problems += [f"{row.place}: {member_text(quota_member(row))} {fault}" for fault in faults]
        (found.faulty if faults else sound).append(row)
    found.rows = sound


def _quota_faults(row: Row) -> Iterator[str]:
    measure, limit, currency = (row.cells[name] for name in ("measure", "limit_quantity", "currency"))
    if measure in MONEY_MEASURES:
        if currency is None:
            yield f"limits {measure} and names no currency"
        return
    if currency is not None:
        yield f"limits {measure}, which has no currency, and names {currency}"
    if limit != limit.to_integral_value():
        yield f"limits {measure} at {limit.normalize():f}; it is counted in whole numbers"


def quota_member(row: Row) -> Member:
    """What makes rows one quota."""
    return tuple(row.cells[name] for name in QUOTA_KEY)


def budget_rows(budgets: FileRows) -> list[Row]:
    """Each budget as a row of dim_quota: soft, by calendar month, of ``effective_cost``."""
    return [
        Row(
            row.file,
            row.line,
            {
                **{name: cell for name, cell in row.cells.items() if name != "monthly_budget"},
                **_OF_A_BUDGET,
                "limit_quantity": row.cells["monthly_budget"],
            },
        )
        for row in budgets.rows
    ]


def budget_faults(files: Mapping[str, FileRows]) -> Iterator[str]:
    """Budgets that quotas.csv states a second time, with the days."""
    by_member: dict[Member, list[tuple[Span, Row]]] = defaultdict(list)
    for row in [*files[QUOTAS_FILE].rows, *budget_rows(files[BUDGETS_FILE])]:
        by_member[quota_member(row)].append((span_of(row), row))
    for member, rows in by_member.items():
        judged = ((span, _stated_twice(in_force)) for span, in_force in pieces(rows))
        for fault, span in runs(judged):
            yield f"{QUOTAS_FILE} and {BUDGETS_FILE}: {member_text(member)} {fault} {span}"


def _stated_twice(in_force: list[Row]) -> str | None:
    return "stands in both" if len({row.file for row in in_force}) > 1 else None


def pool_faults(files: Mapping[str, FileRows]) -> Iterator[str]:
    """Pools that serve two scopes, and scopes whose tokens two pools claim, with the days."""
    of_pool: dict[object, list[tuple[Span, str]]] = defaultdict(list)
    of_scope: dict[tuple[str, str], list[tuple[Span, str]]] = defaultdict(list)
    for row in files[ENTITLEMENTS_FILE].rows:
        scope = f"{row.cells['scope_kind']}/{row.cells['scope_id']}"
        of_pool[row.cells["pool_id"]].append((span_of(row), scope))
        of_scope[scope, row.cells["token_kind"]].append((span_of(row), row.cells["pool_id"]))
    for pool, scopes in of_pool.items():
        for fault, span in runs((span, _several(found)) for span, found in pieces(scopes)):
            yield f"{ENTITLEMENTS_FILE}: pool {pool} serves {fault} {span}; a pool serves one scope"
    for (scope, token_kind), pools in of_scope.items():
        for fault, span in runs((span, _several(found)) for span, found in pieces(pools)):
            yield f"{ENTITLEMENTS_FILE}: {token_kind} tokens of {scope} come from {fault} {span}; name one pool"


def _several(found: list[str]) -> str | None:
    return " and ".join(sorted(set(found))) if len(set(found)) > 1 else None
