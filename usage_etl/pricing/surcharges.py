"""Regional surcharges: what a region costs above the list, as price rows of that region.

A region is a name as sent, a beginning followed by ``*``, or ``*`` for any region that is named. The most exact one holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from usage_etl.pricing.price import BEGINNING, Price, exact_rate


@dataclass(frozen=True)
class Surcharge:
    """What list rates of a provider's models are multiplied by in a region for a span of time. 1 says "as listed"."""

    provider: str
    model_id: str | None
    """None is every model of the provider."""
    region: str
    multiplier: Decimal
    valid_from: dt.datetime = BEGINNING
    valid_to: dt.datetime | None = None
    origin: str = "contract"

    def is_in_force(self, instant: dt.datetime) -> bool:
        """Whether it holds at ``instant``."""
        return self.valid_from <= instant and (self.valid_to is None or instant < self.valid_to)


def region_rows(prices: Sequence[Price], surcharges: Sequence[Surcharge]) -> Iterator[Price]:
    """Rows of every surcharged region for ``prices``, the rows of one model and price class where no region matters.

    ``surcharges`` that concern the model come strongest first. A region is covered for as long as the model is listed:
    where no surcharge holds, its row repeats the list, so that a wider region cannot slip in.
    """
    for region in dict.fromkeys(surcharge.region for surcharge in surcharges):
        own = [surcharge for surcharge in surcharges if surcharge.region == region]
        edges = sorted({edge for surcharge in own for edge in (surcharge.valid_from, surcharge.valid_to) if edge is not None})
        for price in prices:
            yield from _in_region(price, region, own, edges)


def of_model(surcharges: Iterable[Surcharge], provider: str, model_id: str) -> list[Surcharge]:
    """Surcharges that concern a model: its own before those of the whole provider, otherwise in the given order."""
    concerning = [one for one in surcharges if one.provider == provider and one.model_id in (None, model_id)]
    return sorted(concerning, key=lambda one: (one.origin != "contract", one.model_id is None))


def matched_region(region: str | None, known: Iterable[str]) -> str | None:
    """Which of the ``known`` regions a region as sent is priced by; None where it does not matter."""
    if region is None:
        return None
    sent = region.strip().lower()
    reached = [name for name in known if name.lower() == sent or (name.endswith("*") and sent.startswith(name[:-1].lower()))]
    return max(reached, key=lambda name: (not name.endswith("*"), len(name)), default=None)


def _in_region(price: Price, region: str, own: Sequence[Surcharge], edges: Sequence[dt.datetime]) -> Iterator[Price]:
    starts = [
        price.valid_from,
        *(edge for edge in edges if price.is_in_force(edge, price.from_minute) and edge != price.valid_from),
    ]
    for start, end in zip(starts, [*starts[1:], price.valid_to], strict=True):
        found = next((surcharge for surcharge in own if surcharge.is_in_force(start)), None)
        multiplier = found.multiplier if found else Decimal(1)
        rates = tuple(None if rate is None else exact_rate(rate * multiplier) for rate in price.rates)
        note = f"{price.provenance or price.price_source}; x {multiplier:f} for {region}" + (
            f" ({found.origin})" if found else ""
        )
        yield replace(
            price, region=region, valid_from=start, valid_to=end, rates=rates, surcharge_multiplier=multiplier, provenance=note
        )
