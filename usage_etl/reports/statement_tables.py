"""The parts of a statement in one currency: the ladder, who used what, corrections, rules and rates."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from usage_etl.reports.booked_lines import KIND_NAMES, PARTS, Booked, Part, grouped, total_of
from usage_etl.reports.comparison import change
from usage_etl.reports.formatting import day_full, display_name, listed, money_exact, month_name, plural
from usage_etl.reports.model import Figure
from usage_etl.reports.paper_tables import (
    NOTHING,
    amount_figure,
    cell,
    counted,
    largest,
    merged,
    more_in_csv,
    share_of,
    shortened,
)
from usage_etl.reports.statement_model import (
    Audience,
    Column,
    CorrectionRow,
    CurrencyPart,
    LadderRow,
    RuleRow,
    Table,
    TableRow,
)

_LABELS: dict[Part, str] = {
    "charge": "Charges",
    "credit": "Credits",
    "tax_support": "Tax and support",
    "rounding": "Rounding of invoices",
    "correction": "Corrections of earlier months",
    "dispute": "Disputes",
    "estimate": "Estimated: no bill delivered",
}
_BILLED: tuple[Part, ...] = ("charge", "credit", "tax_support", "rounding")
_CHANGED: tuple[Part, ...] = ("correction", "dispute")


@dataclass(frozen=True)
class Frame:
    """What all tables of one currency have in common. ``previous`` is null where nothing earlier is known."""

    currency: str
    audience: Audience
    lines: list[Booked]
    previous: list[Booked] | None
    previous_month: str
    rows_limit: int
    list_limit: int
    is_open: bool

    @property
    def total(self) -> Decimal:
        """What is charged in this currency."""
        return total_of(self.lines)


def currency_part(frame: Frame) -> CurrencyPart:
    """Everything of one currency. Each table adds up to the total."""
    estimates = [line for line in frame.lines if line.part == "estimate"]
    billed = [line for line in frame.lines if line.part != "estimate"]
    return CurrencyPart(
        currency=frame.currency,
        ladder=_ladder(frame, billed, estimates),
        total=Figure(value=frame.total, text=money_exact(frame.total, frame.currency)),
        billed=Figure(value=total_of(billed), text=money_exact(total_of(billed), frame.currency)),
        estimated=Figure(value=total_of(estimates), text=money_exact(total_of(estimates), frame.currency))
        if estimates
        else NOTHING,
        owners=_owners(frame),
        subjects=_subjects(frame),
        corrections=_corrections(frame),
        rules=_rules(frame),
        conversions=_conversions(frame.lines),
    )


def month_text(first_day: dt.date) -> str:
    """``September 2026``."""
    return f"{month_name(first_day)} {first_day.year}"


def _ladder(frame: Frame, billed: list[Booked], estimates: list[Booked]) -> tuple[LadderRow, ...]:
    groups = grouped(frame.lines, lambda line: line.part)
    rows = [_step(part, groups.get(part, []), frame.currency) for part in PARTS if part in groups or part == "charge"]
    if estimates:
        subtotal = LadderRow(kind="subtotal", label="Booked", note="", amount=cell(total_of(billed), frame.currency))
        rows.insert(len(rows) - 1, subtotal)
    amount = Figure(value=frame.total, text=money_exact(frame.total, frame.currency))
    return (*rows, LadderRow(kind="total", label=_total_label(frame, has_estimates=bool(estimates)), note="", amount=amount))


def _total_label(frame: Frame, *, has_estimates: bool) -> str:
    names = {"owner": "Total due", "unallocated": "Total without an owner", "unexplained": "Total unexplained"}
    so_far = " so far" if frame.is_open else ""
    return f"{names[frame.audience]}{so_far}{', estimate included' if has_estimates else ''}"


def _step(part: Part, lines: list[Booked], currency: str) -> LadderRow:
    note = _note(part, lines, currency) if lines else ""
    return LadderRow(kind=part, label=_LABELS[part], note=note, amount=amount_figure(lines, currency))


def _note(part: Part, lines: list[Booked], currency: str) -> str:
    if part in {"charge", "tax_support"}:
        return _kinds(lines, currency)
    if part == "correction":
        months = sorted({line.corrects_month for line in lines if line.corrects_month})
        return f"Of {_few([month_text(month) for month in months], 'month')}"
    if part == "dispute":
        return _few(sorted({display_name(line.dispute_id or "no reference") for line in lines}), "dispute")
    return _few(sorted({line.provider for line in lines}), "provider")


def _kinds(lines: list[Booked], currency: str) -> str:
    """``Usage $310.00, seats $80.00``; of one kind alone who bills it."""
    kinds = grouped(lines, lambda line: line.charge_kind)
    if len(kinds) == 1:
        return f"{_upper(_kind(next(iter(kinds))))}, {_few(sorted({line.provider for line in lines}), 'provider')}"
    named = [f"{_kind(kind)} {money_exact(total_of(kinds[kind]), currency)}" for kind in KIND_NAMES if kind in kinds]
    return _upper(", ".join(named[:5] + ([f"{len(named) - 5} more kinds"] if len(named) > 5 else [])))


def _kind(kind: str) -> str:
    return "usage" if kind == "usage" else KIND_NAMES[kind][0].lower() + KIND_NAMES[kind][1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _few(names: list[str], noun: str) -> str:
    return listed(names) if len(names) <= 4 else plural(len(names), noun)


def _owners(frame: Frame) -> Table:
    """By team and provider; money that nobody owns by account and provider."""
    is_owned = frame.audience == "owner"
    names = Counter({line.team_id: line.team_name for line in frame.lines}.values())
    shared = {name for name, count in names.items() if count > 1}

    def key(line: Booked) -> tuple[str, str, str]:
        if is_owned:
            return line.team_id, _team(line, shared), line.provider
        account = " / ".join(part for part in (line.billing_account_id, line.sub_account_id) if part) or "no account named"
        return account, display_name(account), line.provider

    parts = {line.part for line in frame.lines}
    split = [("Billed", _BILLED), ("Corrections", _CHANGED), ("Estimated", ("estimate",))]
    used = [(label, chosen) for label, chosen in split if parts & set(chosen)]
    columns = [*(used if len(used) > 1 else []), ("Total" if len(used) > 1 else "Amount", PARTS)]
    earlier = grouped(frame.previous or [], key)

    def figures(lines: list[Booked], before: list[Booked]) -> tuple[Figure, ...]:
        amounts = [amount_figure([line for line in lines if line.part in chosen], frame.currency) for _, chosen in columns]
        return (*amounts, share_of(total_of(lines), frame.total), *_compared(frame, lines, before))

    groups = grouped(frame.lines, key)
    shown, rest = largest(groups, limit=frame.rows_limit, name=lambda one: f"{one[1]}\0{one[2]}\0{one[0]}")
    rows = [
        TableRow(kind="member", name=one[1], second=one[2], figures=figures(groups[one], earlier.get(one, []))) for one in shown
    ]
    if rest:
        before = [line for one in rest for line in earlier.get(one, [])]
        rows.append(
            TableRow(kind="rest", name=more_in_csv(len(rest), "row"), second="", figures=figures(merged(groups, rest), before))
        )
    rows.append(TableRow(kind="total", name="Total", second="", figures=figures(frame.lines, frame.previous or [])))
    return Table(
        title="By team and provider" if is_owned else "By account and provider",
        caption="",
        first="Team" if is_owned else "Account",
        second="Provider",
        columns=(
            *(Column(label=label, is_strong=label in {"Total", "Amount"}) for label, _ in columns),
            Column(label="Share"),
            *([Column(label=f"vs {frame.previous_month[:3]}")] if frame.previous is not None else []),
        ),
        rows=tuple(rows),
    )


def _compared(frame: Frame, lines: list[Booked], before: list[Booked]) -> tuple[Figure, ...]:
    """The change of a row; no column where nothing earlier is known, no percentage of or to a credit."""
    if frame.previous is None:
        return ()
    now, was = total_of(lines), total_of(before)
    if now < 0 or was < 0:
        return (NOTHING,)
    return (change(now, was if before else None, has_previous=True),)


def _team(line: Booked, shared: set[str]) -> str:
    """The team's name, with its id where another team has the same name."""
    return display_name(f"{line.team_name} ({line.team_id})" if line.team_name in shared else line.team_name)


def _subjects(frame: Frame) -> Table:
    """By model, or by kind of charge where no model is named."""

    def key(line: Booked) -> tuple[str, str]:
        return line.subject, f"{line.provider}, estimated" if line.part == "estimate" else line.provider

    def figures(lines: list[Booked]) -> tuple[Figure, ...]:
        metered = [line for line in lines if line.is_metered and (line.requests_count or line.total_tokens)]
        requests = counted(sum(line.requests_count for line in metered)) if metered else NOTHING
        tokens = shortened(sum(line.total_tokens for line in metered)) if metered else NOTHING
        return requests, tokens, amount_figure(lines, frame.currency), share_of(total_of(lines), frame.total)

    groups = grouped(frame.lines, key)
    shown, rest = largest(groups, limit=frame.rows_limit, name="\0".join)
    rows = [TableRow(kind="member", name=one[0], second=one[1], figures=figures(groups[one])) for one in shown]
    if rest:
        rows.append(TableRow(kind="rest", name=more_in_csv(len(rest), "row"), second="", figures=figures(merged(groups, rest))))
    rows.append(TableRow(kind="total", name="Total", second="", figures=figures(frame.lines)))
    return Table(
        title="By model and kind of charge",
        caption="Requests and tokens are those behind the lines.",
        first="Model or kind",
        second="Provider",
        columns=(Column(label="Requests"), Column(label="Tokens"), Column(label="Amount", is_strong=True), Column(label="Share")),
        rows=tuple(rows),
    )


def _corrections(frame: Frame) -> tuple[CorrectionRow, ...]:
    lines = [line for line in frame.lines if line.part == "correction"]
    groups = grouped(
        lines,
        lambda line: (line.corrects_month, line.provider, display_name(line.correction_reason or "no reason given", limit=160)),
    )
    shown, rest = largest(groups, limit=frame.list_limit, name=lambda one: f"{one[0]}\0{one[1]}\0{one[2]}")
    rows = [
        CorrectionRow(
            kind="member",
            month=month_text(one[0]) if one[0] else "",
            provider=one[1],
            reason=one[2],
            lines=counted(len(groups[one])),
            amount=amount_figure(groups[one], frame.currency),
        )
        for one in shown
    ]
    if rest:
        left = merged(groups, rest)
        more = more_in_csv(len(rest), "correction")
        rows.append(
            CorrectionRow(
                kind="rest",
                month="",
                provider="",
                reason=more,
                lines=counted(len(left)),
                amount=amount_figure(left, frame.currency),
            )
        )
    return tuple(rows)


def _rules(frame: Frame) -> tuple[RuleRow, ...]:
    groups = grouped(frame.lines, lambda line: (line.rule_name, _rule_text(line)))
    shown, rest = largest(groups, limit=frame.list_limit, name="\0".join)
    rows = [
        RuleRow(
            kind="member",
            name=display_name(one[0]),
            text=one[1],
            lines=counted(len(groups[one])),
            amount=amount_figure(groups[one], frame.currency),
        )
        for one in shown
    ]
    if rest:
        left = merged(groups, rest)
        more = more_in_csv(len(rest), "way")
        rows.append(
            RuleRow(kind="rest", name="", text=more, lines=counted(len(left)), amount=amount_figure(left, frame.currency))
        )
    return tuple(rows)


def _rule_text(line: Booked) -> str:
    """What a rule does; corrections and disputes say on each line how much they move, so their rules are told in one sentence."""
    if line.part == "correction":
        return "What the rules give the closed month now, less what was booked of it before"
    return display_name(line.allocation_rule, limit=240)


def _conversions(lines: list[Booked]) -> tuple[str, ...]:
    converted = [line for line in lines if line.invoice_currency and line.fx_rate is not None]
    groups = grouped(
        converted,
        lambda line: (line.invoice_currency, line.billing_currency, line.fx_rate, line.fx_rate_date, line.fx_rate_source),
    )
    sentences = []
    for (source, target, rate, day, publisher), members in groups.items():
        providers = _few(sorted({line.provider for line in members}), "provider")
        when = f" of {day_full(day)}" if day else ""
        who = f" by {display_name(publisher)}" if publisher else ""
        number = f"{rate:f}".rstrip("0").rstrip(".")
        price = f"{number}\u00a0{target} for 1\u00a0{source}"
        sentences.append(f"Invoices of {providers} in {source} are converted at {price}, the rate{when}{who}.")
    return tuple(sorted(sentences))
