"""The mail that carries the finance files: what is billed, what is an estimate, and what nobody owns."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import css_inline
import polars as pl

from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.reports.email import EmailContent
from usage_etl.reports.formatting import display_name, money_exact
from usage_etl.reports.inputs import DISPLAY_NAMES
from usage_etl.reports.templates import Templates

_STATUS_TEXTS = {
    "open": "The month is still running: figures will grow.",
    "preliminary": "Preliminary: the providers may still restate this month.",
    "closed": "Closed.",
}


@dataclass(frozen=True)
class _Line:
    label: str
    amount: str


@dataclass(frozen=True)
class _Section:
    """Totals of one currency; currencies are never added."""

    currency: str
    accounts: tuple[_Line, ...]
    estimates: tuple[_Line, ...]
    nobody: tuple[_Line, ...]
    centers: tuple[_Line, ...]
    total: str


def render_chargeback_email(
    lines: pl.DataFrame, *, month: Month, organization_name: str, templates: Templates | None = None
) -> EmailContent:
    """Mail about ``lines``, one month of mart_chargeback_monthly: sums per account, estimate and cost center."""
    chosen = templates or Templates()
    name = f"{month.first_day:%B %Y}"
    sections = [
        _section(part, str(currency))
        for (currency,), part in lines.sort("billing_currency").group_by("billing_currency", maintain_order=True)
    ]
    status = _STATUS_TEXTS.get(str(lines["period_status"].max()) if lines.height else "open", "")
    headline = f"{' and '.join(section.total for section in sections) or 'Nothing'} charged back for {name}. {status}"
    context: dict[str, object] = {
        "organization_name": display_name(organization_name, limit=80),
        "period": name,
        "headline": headline,
        "sections": sections,
        "lines_count": f"{lines.height:,}",
    }
    environment = chosen.environment()
    html = environment.get_template("chargeback/email.html.j2").render(**context, style=chosen.read_text("executive/email.css"))
    inliner = css_inline.CSSInliner(keep_style_tags=False, keep_at_rules=True, load_remote_stylesheets=False)
    return EmailContent(
        subject=f"AI chargeback, {name}: {' and '.join(section.total for section in sections) or 'no charges'}",
        preheader=headline,
        html=inliner.inline(html),
        text=_text(context, sections),
    )


def _section(lines: pl.DataFrame, currency: str) -> _Section:
    billed = lines.filter(pl.col("charge_basis") == "billed")
    estimates = lines.filter(pl.col("charge_basis") == "priced_usage")
    owned = lines.filter(pl.col("line_kind").is_in(["allocated", "estimate"]) & (pl.col("cost_center_id") != "unallocated"))
    nobody = lines.filter(~pl.col("line_kind").is_in(["allocated", "estimate"]) | (pl.col("cost_center_id") == "unallocated"))
    return _Section(
        currency=currency,
        accounts=_sums(billed, ["provider_name", "billing_account_id"], currency),
        estimates=_sums(estimates, ["provider_name"], currency),
        nobody=_sums(nobody, ["team_name"], currency),
        centers=_sums(owned, ["cost_center_name", "cost_center_id"], currency),
        total=money_exact(exact_sum(lines["allocated_cost"]), currency),
    )


def _sums(lines: pl.DataFrame, by: list[str], currency: str) -> tuple[_Line, ...]:
    sums: list[tuple[Decimal, str]] = []
    for key, part in lines.group_by(by):
        words = [DISPLAY_NAMES.get(str(word), display_name(str(word))) for word in key if word is not None]
        sums.append((exact_sum(part["allocated_cost"]), ", ".join(dict.fromkeys(words))))
    return tuple(
        _Line(label, money_exact(amount, currency)) for amount, label in sorted(sums, key=lambda item: (-item[0], item[1]))
    )


def _text(context: dict[str, object], sections: list[_Section]) -> str:
    written = [f"{context['organization_name']}: AI chargeback, {context['period']}", "", str(context["headline"])]
    for section in sections:
        for title, rows in _titled(section):
            if rows:
                written += ["", f"{title} ({section.currency})", *(f"  {row.label:<48} {row.amount:>16}" for row in rows)]
        written += ["", f"  {'Total':<48} {section.total:>16}"]
    written += [
        "",
        f"chargeback.csv has {context['lines_count']} lines; manifest.json proves them by hash, row count and totals.",
    ]
    return "\n".join(written) + "\n"


def _titled(section: _Section) -> list[tuple[str, tuple[_Line, ...]]]:
    return [
        ("Billed, to the cent", section.accounts),
        ("Estimated, no bill delivered", section.estimates),
        ("Charged to nobody", section.nobody),
        ("By cost center", section.centers),
    ]
