"""Recommendations and verdicts for reports: rows of both marts, changed by keyword."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.schemas import MART_RECOMMENDATION_VERDICTS, MART_RECOMMENDATIONS
from usage_etl.schemas.contract import Table

MONTH = dt.date(2026, 11, 1)
_SCOPE = {"through_date": dt.date(2026, 11, 19), "scope_kind": "feature", "scope_id": "triage", "scope_name": "Ticket triage",
          "feature_id": "triage", "currency": "USD", "recommendation_kind": "model_substitution", "model_id": "openai/gpt-5.2",
          "target_model_id": "openai/gpt-5-mini"}  # fmt: skip
_ADVICE = _SCOPE | {
    "month": MONTH, "difficulty": "medium", "basis": "repriced", "monthly_savings_cost": Decimal("1077.31"),
    "monthly_savings_lower_cost": Decimal("1011.44"), "monthly_savings_upper_cost": Decimal("1143.19"),
    "net_monthly_savings_cost": Decimal("1077.31"), "window_start": dt.date(2026, 10, 21), "window_days_count": 30,
    "window_cost": Decimal("1736.08"), "window_target_cost": Decimal("658.77"), "rows_count": 700, "requests_count": 1395,
    "cost_share_ratio": 0.0937, "left_out_requests_count": 0, "whole_count": 1395, "part_count": 0, "advice_text": "Do it.",
}  # fmt: skip
_VERDICT = _SCOPE | {
    "month": MONTH, "promised_month": dt.date(2026, 10, 1), "is_preliminary": True,
    "promised_monthly_savings_cost": Decimal(214), "promised_cost": Decimal("135.49"), "promised_lower_cost": Decimal(120),
    "promised_upper_cost": Decimal(140), "whole_count": 10, "part_count": 10, "moved_ratio": 1.0, "former_cost": Decimal(300),
    "actual_cost": Decimal("161.13"), "realised_savings_cost": Decimal("138.87"), "verdict": "kept",
    "verdict_reason": "100% moved", "verdict_text": "Kept.",
}  # fmt: skip


def _frame(table: Table, base: dict[str, Any], changes: tuple[dict[str, Any], ...]) -> pl.DataFrame:
    rows = [base | {"recommendation_id": f"id{number}", "rank": number} | change for number, change in enumerate(changes, 1)]
    schema = table.polars_schema
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")
    return table.validate(frame)


def recommended(*changes: dict[str, Any]) -> pl.DataFrame:
    """MART_RECOMMENDATIONS, one row per change."""
    return _frame(MART_RECOMMENDATIONS, _ADVICE, changes)


def judged(*changes: dict[str, Any]) -> pl.DataFrame:
    """MART_RECOMMENDATION_VERDICTS, one row per change."""
    return _frame(MART_RECOMMENDATION_VERDICTS, _VERDICT, changes)


def usual() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Five recommendations of several kinds and four verdicts, as a month may have them."""
    advice = recommended(
        {},
        {"recommendation_kind": "batch_processing", "scope_name": "Call transcripts", "target_processing": "batch",
         "model_id": None, "target_model_id": None, "difficulty": "low", "monthly_savings_cost": Decimal("289.886"),
         "monthly_savings_lower_cost": Decimal("289.886"), "monthly_savings_upper_cost": Decimal("289.886"),
         "net_monthly_savings_cost": Decimal("180.5")},
        {"recommendation_kind": "caching", "scope_kind": "api_key", "scope_name": "svc-contract-review", "basis": "assumption",
         "target_model_id": None, "monthly_savings_cost": Decimal("62.60"), "monthly_savings_lower_cost": Decimal("62.60"),
         "monthly_savings_upper_cost": Decimal("187.90"), "net_monthly_savings_cost": Decimal("62.60")},
        {"recommendation_kind": "idle_seats", "scope_kind": "provider", "scope_name": "github/acct", "basis": "charges",
         "feature_id": None, "model_id": None, "target_model_id": None, "cost_share_ratio": None},
        {},
    )  # fmt: skip
    verdicts = judged(
        {"scope_name": "Meeting notes"},
        {"verdict": "cost_more", "realised_savings_cost": Decimal("-12.50"), "scope_name": "Lead scoring"},
        {"verdict": "not_taken", "realised_savings_cost": Decimal(0)},
        {"verdict": "cannot_tell", "realised_savings_cost": None},
    )
    return advice, verdicts
