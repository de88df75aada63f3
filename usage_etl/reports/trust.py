"""How far to trust the numbers: invoice match, owners, prices, refused rows, freshness, gaps and versions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.reports.comparison import ratio_of
from usage_etl.reports.formatting import (
    NO_DATA,
    NOT_APPLICABLE,
    count_compact,
    count_full,
    day_label,
    display_name,
    money_exact,
    percent_floor,
    plural,
)
from usage_etl.reports.inputs import OWNERLESS, MonthFacts
from usage_etl.reports.model import Figure, Proof, SourceRow, Tone, Trust, TrustFact
from usage_etl.reports.teams import charges_of
from usage_etl.reports.tie_out import bill_rows, findings_of, month_rows

_GOOD_RATIO = Decimal("0.99")


def trust_of(facts: MonthFacts, *, report_id: str, generated_for: str) -> Trust:
    """The closing block. Shares are rounded down: 100 % means all of it."""
    quality = facts.inputs.data_quality.filter(pl.col("month") == facts.month.first_day).sort("source")
    bills = bill_rows(facts, no_data=NO_DATA, not_applicable=NOT_APPLICABLE)
    return Trust(
        facts=(_match(facts), _owned(facts), _priced(facts), _quarantined(quality), _freshest(quality), _missing(quality)),
        sources=tuple(_source(row) for row in quality.iter_rows(named=True)),
        bills=bills,
        findings=findings_of(bills),
        proofs=_proofs(facts, report_id, generated_for),
        manifests=tuple(Proof(label=name, text=sha) for name, sha in sorted(facts.inputs.proof.manifests.items())),
    )


def _quality_tone(ratio: Decimal) -> Tone:
    return "good" if ratio >= _GOOD_RATIO else "warn"


def _match(facts: MonthFacts) -> TrustFact:
    """Share of billed usage that our priced usage explains, line by line, nothing netted; credits are no usage."""
    label = "Bill match"
    rows = month_rows(facts).filter(pl.col("billed_cost").is_not_null())
    lines = rows.select(
        (pl.col("billed_cost") - pl.col("credits_cost")).alias("gross_cost"),
        (pl.col("difference_cost") - pl.col("credits_cost")).alias("gap_cost"),
    )
    if not lines.height:
        return TrustFact(label=label, figure=Figure(value=None, text="no bill yet"), note="estimates only", tone="neutral")
    gap = ratio_of(exact_sum(lines["gap_cost"].abs()), exact_sum(lines["gross_cost"].abs()))
    ratio = max(Decimal(0), 1 - gap) if gap is not None else None
    note = f"of {money_exact(exact_sum(lines['gross_cost']), facts.currency)} billed"
    if ratio is None:
        return TrustFact(label=label, figure=Figure(value=None, text=NO_DATA), note=note, tone="neutral")
    return TrustFact(label=label, figure=Figure(value=ratio, text=percent_floor(ratio)), note=note, tone=_quality_tone(ratio))


def _owned(facts: MonthFacts) -> TrustFact:
    label = "Allocated to a team"
    lines = charges_of(facts)
    if lines.height:
        whole = exact_sum(lines["allocated_cost"])
        owned = exact_sum(lines.filter(~pl.col("team_id").is_in(sorted(OWNERLESS)))["allocated_cost"])
        note = "of all charges"
    else:
        whole = facts.organization.cost or Decimal(0)
        owned = sum(
            (one.cost or Decimal(0) for one in facts.members.get("team", []) if one.member_id not in OWNERLESS), Decimal(0)
        )
        note = "of priced usage"
    ratio = ratio_of(owned, whole)
    if ratio is None:
        return TrustFact(label=label, figure=Figure(value=None, text=NO_DATA), note=note, tone="neutral")
    return TrustFact(label=label, figure=Figure(value=ratio, text=percent_floor(ratio)), note=note, tone=_quality_tone(ratio))


def _priced(facts: MonthFacts) -> TrustFact:
    whole = facts.organization
    missing = whole.unpriced_requests_count
    ratio = ratio_of(whole.requests_count - missing, whole.requests_count)
    note = f"{count_full(missing)} without price" if missing else "all of them"
    if ratio is None:
        return TrustFact(label="Requests priced", figure=Figure(value=None, text=NO_DATA), note="no requests", tone="neutral")
    return TrustFact(
        label="Requests priced", figure=Figure(value=ratio, text=percent_floor(ratio)), note=note, tone=_quality_tone(ratio)
    )


def _quarantined(quality: pl.DataFrame) -> TrustFact:
    if not quality.height:
        return TrustFact(label="Rows quarantined", figure=Figure(value=None, text=NO_DATA), note="no deliveries", tone="neutral")
    rows, read = int(quality["rows_quarantined_count"].sum()), int(quality["rows_read_count"].sum())
    tone: Tone = "good" if rows == 0 else "warn"
    return TrustFact(
        label="Rows quarantined",
        figure=Figure(value=rows, text=count_full(rows)),
        note=f"of {count_compact(read)} rows read",
        tone=tone,
    )


def _arrival(text: str | None) -> str:
    """``2026-11-20T06:10:00Z`` as ``20 Nov 06:10``; text that is no instant is shown as it is."""
    if not text:
        return NO_DATA
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return display_name(text)
    utc = instant.astimezone(dt.UTC) if instant.tzinfo else instant
    return f"{day_label(utc.date())}\u00a0{utc:%H:%M}"


def _freshest(quality: pl.DataFrame) -> TrustFact:
    known = quality.filter(pl.col("last_received_at").is_not_null()).sort("last_received_at", "source")
    if not known.height:
        return TrustFact(label="Freshest source", figure=Figure(value=None, text=NO_DATA), note="", tone="neutral")
    newest = known.row(-1, named=True)
    return TrustFact(
        label="Freshest source",
        figure=Figure(value=None, text=_arrival(newest["last_received_at"])),
        note=f"UTC, {display_name(newest['source'])}",
        tone="neutral",
    )


def _missing(quality: pl.DataFrame) -> TrustFact:
    if not quality.height:
        return TrustFact(label="Days missing", figure=Figure(value=None, text=NO_DATA), note="", tone="neutral")
    gaps = quality.filter(pl.col("days_missing_count") > 0)["days_missing_count"].to_list()
    days = max(gaps, default=0)
    note = f"{'at worst, ' if len(set(gaps)) > 1 else ''}in {plural(len(gaps) or quality.height, 'source')}"
    return TrustFact(
        label="Days missing", figure=Figure(value=days, text=count_full(days)), note=note, tone="warn" if days else "good"
    )


def _source(row: dict[str, object]) -> SourceRow:
    def counted(name: str) -> Figure:
        number = row[name]
        assert isinstance(number, int)
        return Figure(value=number, text=count_full(number))

    missing, days = row["days_missing_count"], row["days_with_data_count"]
    assert isinstance(missing, int)
    assert isinstance(days, int)
    faults = missing, row["held_deliveries_count"], row["refused_deliveries_count"]
    last = row["last_received_at"]
    return SourceRow(
        name=display_name(str(row["source"])),
        days=f"{days} of {days + missing}" if missing else str(days),
        last_arrival=_arrival(str(last) if last else None),
        rows_read=counted("rows_read_count"),
        rows_loaded=counted("rows_loaded_count"),
        rows_duplicate=counted("rows_duplicate_count"),
        rows_quarantined=counted("rows_quarantined_count"),
        tone="warn" if any(faults) else "neutral",
    )


def _proofs(facts: MonthFacts, report_id: str, generated_for: str) -> tuple[Proof, ...]:
    proof = facts.inputs.proof
    pairs = [
        ("Report", report_id[:16]),
        ("Code", proof.code_version),
        ("Price book", proof.price_book_version),
        ("Run", proof.run_id),
        ("Prepared for", generated_for),
    ]
    return tuple(Proof(label=label, text=display_name(text)) for label, text in pairs if text)
