"""How a number stands against the same days of the month before, in words that never mislead."""

from __future__ import annotations

from decimal import Decimal, localcontext

from usage_etl.reports.formatting import NOT_APPLICABLE, TIMES, multiple, percent
from usage_etl.reports.model import Figure

NO_EARLIER_DATA = "no earlier data"
MULTIPLE_FROM = Decimal(10)
"""From this factor on a percentage is harder to read than the factor."""


def ratio_of(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """``part / whole``; null when the whole is not positive, because a share of nothing is no number."""
    if whole <= 0:
        return None
    with localcontext() as context:
        context.prec = 40
        return (Decimal(part) / Decimal(whole)).quantize(Decimal("0.000001"))


def share(part: Decimal | None, whole: Decimal | None) -> Figure:
    """Share of a positive whole."""
    ratio = ratio_of(part, whole) if part is not None and whole is not None else None
    return Figure(value=ratio, text=NOT_APPLICABLE if ratio is None else percent(ratio))


def change(current: Decimal | int | None, previous: Decimal | int | None, *, has_previous: bool) -> Figure:
    """Relative change as a figure: ``+24 %``, a factor from ten on, ``new``, or why there is none."""
    if not has_previous:
        return Figure(value=None, text=NO_EARLIER_DATA)
    if current is None:
        return Figure(value=None, text="no price")
    if not previous:
        return Figure(value=None, text="new" if current > 0 else NOT_APPLICABLE)
    ratio = ratio_of(Decimal(current), Decimal(previous))
    if ratio is None:
        return Figure(value=None, text="was negative")
    text = multiple(ratio) if ratio >= MULTIPLE_FROM else percent(ratio - 1, plus=True)
    return Figure(value=ratio - 1, text=text)


def used(part: Decimal | int, whole: Decimal | int) -> Figure:
    """How much of a positive whole is used: a percentage, a factor from ten on."""
    ratio = ratio_of(part, whole)
    if ratio is None:
        return Figure(value=None, text=NOT_APPLICABLE)
    return Figure(value=ratio, text=multiple(ratio) if ratio >= MULTIPLE_FROM else percent(ratio))


def compared(figure: Figure, previous_name: str) -> str:
    """A change beside what it is measured against: ``+24 % vs October``."""
    if figure.value is None:
        return figure.text
    joiner = "of" if figure.text.endswith(TIMES) else "vs"
    return f"{figure.text} {joiner} {previous_name}"
