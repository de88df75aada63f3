"""Rows of papers: the largest ones, what is left as one row that ties, and the total."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

from usage_etl.reports.booked_lines import Booked, total_of
from usage_etl.reports.comparison import ratio_of
from usage_etl.reports.formatting import NOT_APPLICABLE, count_compact, count_full, money_cell, percent, plural
from usage_etl.reports.inputs import ProofFacts
from usage_etl.reports.model import Figure, Proof

Key = TypeVar("Key", bound=Hashable)

NOTHING = Figure(value=None, text=NOT_APPLICABLE)


def amount_figure(lines: Sequence[Booked], currency: str) -> Figure:
    """What ``lines`` charge, without the currency; nothing for no lines."""
    return cell(total_of(lines), currency) if lines else NOTHING


def cell(amount: Decimal, currency: str) -> Figure:
    """An amount in a column that names its currency."""
    return Figure(value=amount, text=money_cell(amount, currency))


def counted(number: int) -> Figure:
    """A count with all its digits."""
    return Figure(value=number, text=count_full(number))


def shortened(number: int) -> Figure:
    """A count in three digits."""
    return Figure(value=number, text=count_compact(number))


def share_of(part: Decimal, whole: Decimal) -> Figure:
    """Share of a positive whole; credits have a negative one."""
    ratio = ratio_of(part, whole)
    return NOTHING if ratio is None else Figure(value=ratio, text=percent(ratio))


def largest(groups: dict[Key, list[Booked]], *, limit: int, name: Callable[[Key], str]) -> tuple[list[Key], list[Key]]:
    """Keys to show, by amount from the top down, and those left out: the amounts nearest to zero.

    One group alone is never left out: its row takes no more room than the row of what is left.
    """
    totals = {key: total_of(lines) for key, lines in groups.items()}
    by_size = sorted(groups, key=lambda key: (-abs(totals[key]), name(key)))
    shown = by_size if len(by_size) <= limit + 1 else by_size[:limit]
    rest = by_size[len(shown) :]
    return sorted(shown, key=lambda key: (-totals[key], name(key))), rest


def merged(groups: dict[Key, list[Booked]], keys: Iterable[Key]) -> list[Booked]:
    """The lines of several groups."""
    return [line for key in keys for line in groups[key]]


def more_in_csv(number: int, noun: str) -> str:
    """``12 more teams, in the CSV``."""
    return f"{plural(number, f'more {noun}', f'more {noun}s')}, in the CSV"


def proofs_of(proof: ProofFacts) -> tuple[Proof, ...]:
    """Versions and hashes of what a paper is made from, for its last line."""
    named = {"Price book": proof.price_book_version, "Code": proof.code_version, "Run": proof.run_id}
    return (
        *(Proof(label=name, text=sha[:12]) for name, sha in sorted(proof.manifests.items())),
        *(Proof(label=label, text=text) for label, text in named.items() if text),
    )
