"""Booked chargeback lines for statements and change notes, one call a line; every frame keeps the mart's contract."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.periods import Month
from usage_etl.reports.change_note import build_change_note
from usage_etl.reports.change_note_model import ChangeNote, Versions
from usage_etl.reports.inputs import ProofFacts
from usage_etl.reports.statement import build_statement
from usage_etl.reports.statement_model import CostCenter, DisputeFact, Statement
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY

OCTOBER = Month(2026, 10)
CENTER = CostCenter("CC-1100", "Platform Engineering", "6410-AI", "platform-lead@northwind.example.com")
METERED = "By metered cost of the team's own usage, at most that plus 0.5 %; the rest is unexplained"
CHARGED = "In proportion to what each team pays of the account's other lines"
LINE: dict[str, Any] = {
    "month": dt.date(2026, 10, 1),
    "line_kind": "allocated",
    "charge_basis": "billed",
    "invoice_line_id": "0" * 32,
    "invoice_id": "INV-2026-10-77",
    "provider_name": "openai",
    "billing_account_id": "org-northwind",
    "service_name": "API",
    "charge_kind": "usage",
    "charge_category": "Usage",
    "model_id": "gpt-5.2",
    "business_unit_id": "products",
    "business_unit_name": "Products",
    "department_id": "engineering",
    "department_name": "Engineering",
    "team_id": "team-platform",
    "team_name": "Platform Core",
    "cost_center_id": CENTER.cost_center_id,
    "cost_center_name": CENTER.cost_center_name,
    "requests_count": 0,
    "total_tokens": 0,
    "allocated_cost": Decimal(0),
    "billing_currency": "USD",
    "rule_name": "metered-usage",
    "allocation_rule": METERED,
    "period_status": "closed",
}
MODELS = (
    ("anthropic", "claude-opus-5", 41),
    ("anthropic", "claude-sonnet-4-6", 22),
    ("openai", "gpt-5.2", 17),
    ("openai", "gpt-5-mini", 4),
    ("google", "gemini-3-pro", 9),
    ("mistral", "mistral-large-3", 2),
)


def mart(*lines: dict[str, Any], first: int = 0) -> pl.DataFrame:
    """A frame of ``lines``, each on top of ``LINE``; ids are numbers unless given. ``allocated_cost`` may be text."""
    rows = []
    for number, line in enumerate(lines, start=first):
        row = LINE | {"line_id": f"{number:032x}"} | line
        row["allocated_cost"] = Decimal(row["allocated_cost"])
        row.setdefault("allocated_effective_cost", row["allocated_cost"])
        rows.append(row)
    frame = pl.DataFrame(rows, schema=MART_CHARGEBACK_MONTHLY.polars_schema, orient="row")
    return MART_CHARGEBACK_MONTHLY.validate(frame)


def usage_lines(
    teams: tuple[str, ...] = ("Platform Core", "Data and Models"), *, seed: int = 7, scale: int = 9000, **columns: Any
) -> list[dict[str, Any]]:
    """Lines of every team for every model."""
    rng = random.Random(seed)
    return [
        {
            "team_id": f"team-{team[:8].lower().strip()}",
            "team_name": team,
            "provider_name": provider,
            "model_id": model,
            "requests_count": rng.randint(200, 9000),
            "total_tokens": rng.randint(10**5, 10**9),
            "allocated_cost": Decimal(rng.randint(scale, scale * weight)) / 100,
        }
        | columns
        for place, team in enumerate(teams)
        for provider, model, weight in MODELS
    ]


def usual_lines() -> list[dict[str, Any]]:
    """A month with everything in it: charges, credits, tax, support, an estimate, corrections and a dispute."""
    extra: list[dict[str, Any]] = [
        {"charge_kind": "seat", "model_id": None, "provider_name": "anthropic", "allocated_cost": "480.00", "rule_name": "seats",
         "allocation_rule": "Each seat to the team of its user; idle seats by headcount"},
        {"charge_kind": "capacity", "model_id": "gpt-5.2", "allocated_cost": "612.44", "rule_name": "provisioned-capacity",
         "allocation_rule": "In proportion to the tokens of the model at the provider"},
        {"charge_kind": "credit", "charge_category": "Credit", "model_id": None, "allocated_cost": "-250.00",
         "rule_name": "as-charged", "allocation_rule": CHARGED},
        {"charge_kind": "tax", "charge_category": "Tax", "model_id": None, "allocated_cost": "88.12", "rule_name": "as-charged",
         "allocation_rule": CHARGED},
        {"charge_kind": "support", "charge_category": "Purchase", "model_id": None, "provider_name": "aws",
         "allocated_cost": "140.00", "rule_name": "as-charged", "allocation_rule": CHARGED},
        {"corrects_month": dt.date(2026, 9, 1), "charge_class": "Correction", "allocated_cost": "-31.50",
         "rule_name": "correction",
         "correction_reason": "The provider restated its bill on 12 October 2026", "provider_name": "anthropic"},
        {"corrects_month": dt.date(2026, 9, 1), "charge_class": "Correction", "allocated_cost": "12.05",
         "rule_name": "correction",
         "correction_reason": "Usage of 29 September arrived late", "team_id": "team-data and", "team_name": "Data and Models"},
        {"line_kind": "dispute", "dispute_id": "DSP-0042", "corrects_month": dt.date(2026, 9, 1), "allocated_cost": "-75.00",
         "rule_name": "dispute", "allocation_rule": "Accepted dispute, off who disputed and onto who takes it over",
         "correction_reason": "Load test of another team"},
        {"line_kind": "estimate", "charge_basis": "priced_usage", "billing_account_id": None, "service_name": None,
         "provider_name": "deepseek", "model_id": "deepseek-v4", "allocated_cost": "57.31", "requests_count": 4100,
         "total_tokens": 88_000_000, "rule_name": "metered-estimate", "invoice_id": None, "invoice_line_id": None,
         "allocation_rule": "Metered cost of the team's own usage, until a bill is delivered"},
    ]  # fmt: skip
    return [*usage_lines(), *extra]


DISPUTES = (
    DisputeFact("DSP-0042", "accepted", "Load test of another team", Decimal("75.00"), "USD", dt.date(2026, 10, 20)),
    DisputeFact("DSP-0051", "open", "We do not use this model since August", Decimal("203.40"), "USD"),
)
PROOF = ProofFacts(
    manifests={"mart_chargeback_monthly/2026-10-01": "5f3a" * 16},
    price_book_version="2026-11-01 (genai-prices 0.2.3 + contract)",
    code_version="0.4.0",
)


def statement(
    lines: list[dict[str, Any]] | None = None,
    *,
    previous: list[dict[str, Any]] | None = None,
    has_previous: bool = True,
    center: CostCenter = CENTER,
    status: str = "closed",
    **arguments: Any,
) -> Statement:
    """The usual statement, or one of other lines."""
    owner = {"cost_center_id": center.cost_center_id, "cost_center_name": center.cost_center_name}
    chosen = usual_lines() if lines is None else lines
    earlier = usage_lines(seed=3, scale=8000) if previous is None else previous
    values = {
        "month": OCTOBER,
        "as_of": dt.date(2026, 10, 31),
        "organization_name": "Northwind AI Systems",
        "status": status,
        "version": "1",
        "statement_number": "2026-10-cc-1100-1",
        "disputes": DISPUTES if lines is None else (),
        "proof": PROOF,
    } | arguments
    return build_statement(
        mart(*(owner | line for line in chosen)),
        mart(*(owner | line for line in earlier), first=10**6) if has_previous else None,
        center,
        **values,
    )


VERSIONS = Versions("1", dt.date(2026, 11, 5), "2", dt.date(2026, 12, 4), "preliminary")
REASONS = ("bill restated", "usage restated", "directory changed", "bill restated, prices changed", "allocation rules changed")


def center_lines(count: int = 6, **columns: Any) -> list[dict[str, Any]]:
    """October as it was booked: one line for each cost center."""
    rng = random.Random(11)
    names = ("Platform Engineering", "Product Engineering", "Security", "Service Delivery", "Customer Experience", "Finance")
    return [
        {
            "cost_center_id": f"CC-{1100 + number * 100}",
            "cost_center_name": names[number] if number < len(names) else f"Cost center {number}",
            "allocated_cost": Decimal(rng.randint(10**4, 10**6)) / 100,
        }
        | columns
        for number in range(count)
    ]


def correction_lines(count: int = 4, reasons: int = 3, **columns: Any) -> list[dict[str, Any]]:
    """What November books of October."""
    rng = random.Random(12)
    providers = ("openai", "anthropic", "google")
    return [
        {
            "month": dt.date(2026, 11, 1),
            "corrects_month": dt.date(2026, 10, 1),
            "charge_class": "Correction",
            "correction_reason": REASONS[reason % len(REASONS)] + ("" if reason < len(REASONS) else f" {reason}"),
            "provider_name": providers[reason % len(providers)],
            "invoice_line_id": None,
            "rule_name": "correction",
            "period_status": "preliminary",
            "cost_center_id": center["cost_center_id"],
            "cost_center_name": center["cost_center_name"],
            "allocated_cost": Decimal(rng.randint(-90000, 70000)) / 100,
        }
        | columns
        for reason in range(reasons)
        for center in center_lines(count)
    ]


def note_frames(before: list[dict[str, Any]], corrections: list[dict[str, Any]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both frames of a change note."""
    return mart(*before), mart(*corrections, first=10**6)


def change_note(
    before: list[dict[str, Any]] | None = None, corrections: list[dict[str, Any]] | None = None, **arguments: Any
) -> ChangeNote:
    """The usual note, or one of other lines."""
    earlier = center_lines() if before is None else before
    frames = note_frames(earlier, correction_lines() if corrections is None else corrections)
    values = {
        "original_month": OCTOBER,
        "booking_month": Month(2026, 11),
        "organization_name": "Northwind AI Systems",
        "versions": VERSIONS,
        "as_of": dt.date(2026, 11, 30),
        "proof": PROOF,
    } | arguments
    return build_change_note(*frames, **values)
