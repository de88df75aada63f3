"""The mail that carries the finance files: what is billed, credited, corrected and disputed, what is an estimate, who pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from usage_etl.periods import Month
from usage_etl.reports.booked_lines import Booked, Part, by_currency, grouped, read_lines, statuses_of, total_of
from usage_etl.reports.email import EmailContent
from usage_etl.reports.formatting import NBSP, count_full, display_name, listed, money_exact, month_name
from usage_etl.reports.inputs import OWNERLESS
from usage_etl.reports.paper_email import columns_text, inlined, wrapped_text
from usage_etl.reports.paper_tables import largest, merged
from usage_etl.reports.templates import Templates
from usage_etl.schemas.chargeback import least_settled

_STATUS_TEXTS = {
    "open": "The month is still running: figures will grow.",
    "preliminary": "Preliminary: providers may still restate this month.",
    "closed": "Closed: these files do not change any more.",
}
_BILLED: tuple[Part, ...] = ("charge", "tax_support", "rounding")
_NO_REFERENCE = "no reference"
_ROWS = 40


@dataclass(frozen=True)
class _Line:
    label: str
    amount: str


@dataclass(frozen=True)
class _Block:
    """One heading and its lines."""

    title: str
    lines: tuple[_Line, ...]


@dataclass(frozen=True)
class _Section:
    """Totals of one currency; currencies are never added."""

    currency: str
    total: str
    blocks: tuple[_Block, ...]


def render_chargeback_email(
    lines: pl.DataFrame, *, month: Month, organization_name: str, templates: Templates | None = None
) -> EmailContent:
    """Mail about ``lines``, one month of mart_chargeback_monthly.

    Billed, credits, corrections, disputes and estimates add up to the total, and so do cost centers and what nobody pays.
    """
    booked = read_lines(lines)
    name = f"{month_name(month.first_day)} {month.year}"
    sections = [_section(members, currency) for currency, members in by_currency(booked).items()]
    totals = listed([section.total for section in sections]) if sections else "Nothing"
    headline = f"{totals} charged back for {name}. {_status(booked)}"
    foot = (
        f"chargeback.csv has {count_full(len(booked))} lines; the lines of a bill add up to it exactly.",
        "manifest.json proves the files by hash, row count and totals.",
        "Estimates become charges when the provider's bill is delivered.",
        "What changes in a closed month is booked in a later one.",
    )
    organization = display_name(organization_name, limit=80)
    html = inlined(
        "chargeback/email.html.j2",
        templates,
        organization_name=organization,
        period=name,
        headline=headline,
        preheader=headline.replace(NBSP, " "),
        sections=sections,
        foot=foot,
    )
    subject = f"AI chargeback, {name}: {totals if sections else 'no charges'}{_state(booked)}"
    return EmailContent(
        subject=subject.replace(NBSP, " "),
        preheader=headline.replace(NBSP, " "),
        html=html,
        text=_text(organization, name, headline, sections, foot),
    )


def _status(lines: list[Booked]) -> str:
    """What the status means; which providers are how far, where they differ."""
    found = statuses_of(lines)
    sentence = _STATUS_TEXTS[least_settled(found)]
    if len(found) < 2:
        return sentence
    named = {"open": "Still running", "preliminary": "Preliminary", "closed": "Closed"}
    return " ".join(f"{named[status]}: {listed(providers)}." for status, providers in reversed(found.items()))


def _state(lines: list[Booked]) -> str:
    status = least_settled(statuses_of(lines))
    return {"open": " so far", "preliminary": ", preliminary", "closed": ", closed"}[status] if lines else ""


def _section(lines: list[Booked], currency: str) -> _Section:
    parts = grouped(lines, lambda line: line.part)
    billed = [line for part in _BILLED for line in parts.get(part, [])]
    nobody = [line for line in lines if _is_nobody(line)]
    owned = [line for line in lines if not _is_nobody(line)]
    blocks = (
        _Block("Billed, to the cent", _sums(billed, _account, currency)),
        _Block("Credits", _sums(parts.get("credit", []), _account, currency)),
        _Block("Corrections of closed months", _sums(parts.get("correction", []), _correction, currency)),
        _Block("Disputes", _sums(parts.get("dispute", []), _dispute, currency)),
        _Block("Estimated, no bill delivered", _sums(parts.get("estimate", []), lambda line: line.provider, currency)),
        _Block("Total", (_Line("Total", money_exact(total_of(lines), currency)),)),
        _Block("By cost center", _sums(owned, _center, currency)),
        _Block("Charged to nobody", _sums(nobody, _nobody, currency)),
    )
    shown = tuple(block for block in blocks if block.lines)
    return _Section(currency=currency, total=money_exact(total_of(lines), currency), blocks=shown)


def _is_nobody(line: Booked) -> bool:
    return line.cost_center_id in OWNERLESS


def _account(line: Booked) -> str:
    account = display_name(line.billing_account_id) if line.billing_account_id else ""
    return f"{line.provider}, {account}" if account else line.provider


def _correction(line: Booked) -> str:
    corrected = f"{month_name(line.corrects_month)} {line.corrects_month.year}" if line.corrects_month else ""
    return f"{corrected}, {line.provider}: {display_name(line.correction_reason or 'no reason given', limit=120)}"


def _dispute(line: Booked) -> str:
    return display_name(line.dispute_id) if line.dispute_id else _NO_REFERENCE


def _center(line: Booked) -> str:
    name, center_id = display_name(line.cost_center_name), display_name(line.cost_center_id)
    return name if name == center_id else f"{name}, {center_id}"


def _nobody(line: Booked) -> str:
    return f"{display_name(line.cost_center_name)}, {line.provider}"


def _sums(lines: Iterable[Booked], label: Callable[[Booked], str], currency: str) -> tuple[_Line, ...]:
    """Sums from the largest down; beyond forty the smallest as one line that ties."""
    groups = grouped(lines, label)
    shown, rest = largest(groups, limit=_ROWS, name=str)
    rows = [_Line(name, money_exact(total_of(groups[name]), currency)) for name in shown]
    if rest:
        rows.append(_Line(f"{count_full(len(rest))} more, in the files", money_exact(total_of(merged(groups, rest)), currency)))
    return tuple(rows)


def _text(organization: str, name: str, headline: str, sections: list[_Section], foot: tuple[str, ...]) -> str:
    written = [f"{organization}: AI chargeback, {name}", "", *wrapped_text(headline)]
    for section in sections:
        for block in section.blocks:
            rows = [(f"  {line.label}", line.amount) for line in block.lines]
            title = "" if block.title == "Total" else f"{block.title} ({section.currency})"
            written += ["", *([title] if title else []), *columns_text(rows, numbers=(1,))]
    for sentence in foot:
        written += ["", *wrapped_text(sentence)]
    return "\n".join(line.replace(NBSP, " ").rstrip() for line in written) + "\n"
