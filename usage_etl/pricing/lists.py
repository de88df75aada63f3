"""List prices: genai-prices first, LiteLLM's file for what it does not list, newer copies of both before the bundled ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from importlib import resources

from genai_prices import __version__ as genai_version
from genai_prices import data_snapshot
from genai_prices.types import Provider

from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.pricing.genai_list import genai_prices
from usage_etl.pricing.price import BEGINNING, RATE_COLUMNS, SUBSET_RATES, Price, rates_of
from usage_etl.pricing.slots import ANY_MODEL
from usage_etl.pricing.surcharges import Surcharge

LIST_SOURCES = ("genai-prices", "litellm")

Rows = Sequence[Mapping[str, str | None]]
ModelKey = tuple[str, str]
"""Provider and model."""


@dataclass(frozen=True)
class Listed:
    """A model as a list spells it, and which model of the price book that is. ``is_known``: genai-prices lists it too."""

    spelling: str
    key: ModelKey
    is_known: bool


@dataclass(frozen=True)
class PriceList:
    """Prices of one published list in one version."""

    source: str
    version: str
    prices: tuple[Price, ...]
    surcharges: tuple[Surcharge, ...] = ()
    spellings: tuple[Listed, ...] = ()
    """How the list spells its models, where it does so otherwise."""
    providers: tuple[Provider, ...] = ()
    """Models with their rules for names, where the list brings any."""

    @property
    def title(self) -> str:
        """Source and version."""
        return f"{self.source} {self.version}"


def genai_list(providers: Sequence[Provider], version: str) -> PriceList:
    """The list of a genai-prices snapshot."""
    return PriceList("genai-prices", version, tuple(genai_prices(providers, version)), providers=tuple(providers))


def bundled_providers() -> list[Provider]:
    """Models with their rules for names, of the snapshot inside the installed genai-prices package."""
    return data_snapshot.get_snapshot().providers


@lru_cache(maxsize=1)
def bundled_genai() -> PriceList:
    """The snapshot inside the installed genai-prices package; never fetched."""
    return genai_list(bundled_providers(), genai_version)


@lru_cache(maxsize=1)
def bundled_litellm() -> PriceList:
    """The copy of LiteLLM's price file inside this package; never fetched."""
    data = resources.files("usage_etl.pricing") / "data"
    prices, surcharges = (
        list(csv.DictReader(io.StringIO((data / name).read_text(encoding="utf-8"))))
        for name in ("litellm_prices.csv", "litellm_surcharges.csv")
    )
    version = (data / "litellm_version.txt").read_text(encoding="utf-8").strip()
    return litellm_list(prices, surcharges, version, ModelCatalog())


def litellm_list(prices: Rows, surcharges: Rows, version: str, catalog: ModelCatalog) -> PriceList:
    """The list of flattened LiteLLM rows. ``catalog`` says which model of the price book each spelling is.

    Of several spellings of one model the plain one counts, then the first. The file knows no history: its prices hold from
    the beginning.
    """
    spelled = list(dict.fromkeys((str(row["litellm_key"]), str(row["litellm_provider"])) for row in prices))
    models = {key: _listed(key, provider, catalog) for key, provider in sorted(spelled, key=lambda item: "/" in item[0])}
    chosen: dict[ModelKey, str] = {}
    for key, listed in sorted(models.items(), key=lambda item: _rank(*item)):
        chosen.setdefault(listed.key, key)
    counted = set(chosen.values())
    sources = {row["litellm_key"]: row["source"] for row in prices if row.get("source")}
    found = tuple(
        _litellm_price(row, models[str(row["litellm_key"])].key, version, sources.get(row["litellm_key"]))
        for row in prices
        if row["litellm_key"] in counted
    )
    extra = tuple(
        Surcharge(*models[key].key, str(row["region"]), Decimal(str(row["multiplier"])), origin=f"litellm {version}")
        for row in surcharges
        if (key := str(row["litellm_key"])) in counted
    )
    return PriceList("litellm", version, found, extra, tuple(models.values()))


def _listed(key: str, provider: str, catalog: ModelCatalog) -> Listed:
    _, host, model_id, listed_by = catalog.find(provider, key)
    return Listed(key, (listed_by or host, model_id), listed_by is not None)


def _rank(key: str, listed: Listed) -> tuple[bool, bool, int]:
    """The spelling that is the model's own id first, then the plain ones, then the shortest."""
    return key.rsplit("/", 1)[-1] != listed.key[1], "/" in key, len(key)


def _litellm_price(row: Mapping[str, str | None], key: ModelKey, version: str, source: str | None) -> Price:
    rates = rates_of({column: Decimal(cell) for column in RATE_COLUMNS if (cell := row.get(column))})
    per_unit = row.get("per_unit")
    return Price(
        *key, row["processing"] or "standard", int(row["context_min_tokens"] or 0), BEGINNING, None, rates, "USD", "litellm",
        version, unit=row.get("unit") or None, per_unit=Decimal(per_unit) if per_unit else None,
        provenance=f"{row['litellm_key']}" + (f", {source}" if source else ""),
    )  # fmt: skip


@dataclass(frozen=True)
class ListPrices:
    """All list prices an installation uses, the strongest list first."""

    lists: tuple[PriceList, ...]
    manual: tuple[Price, ...] = ()
    """Hand-kept prices that lie over the lists and under the contract."""

    @classmethod
    def bundled(cls, sources: Sequence[str] = LIST_SOURCES) -> ListPrices:
        """The lists inside the installed packages, those named in ``sources`` only."""
        known = {"genai-prices": bundled_genai, "litellm": bundled_litellm}
        return cls(tuple(known[source]() for source in LIST_SOURCES if source in sources))

    @classmethod
    def bundled_of(cls, models: Iterable[str]) -> ListPrices:
        """Of the bundled lists the prices of these models alone, in any spelling of letters, and those for any model.

        The same prices, found faster; its lists know no names.
        """
        names = {model.lower() for model in models} | {ANY_MODEL}
        wanted = [
            replace(provider, models=[model for model in provider.models if model.id.lower() in names])
            for provider in bundled_providers()
        ]
        weaker = bundled_litellm()
        of_models = tuple(price for price in weaker.prices if price.model_id.lower() in names)
        return cls((genai_list(wanted, genai_version), replace(weaker, prices=of_models)))

    @property
    def version(self) -> str:
        """Every list with its version."""
        return ", ".join([*dict.fromkeys(one.title for one in self.lists), *(["manual prices"] if self.manual else [])])

    @property
    def prices(self) -> tuple[Price, ...]:
        """Prices of every model by the strongest list that has it, filled by weaker ones where they agree with it."""
        return tuple(self._merged())

    @property
    def surcharges(self) -> list[Surcharge]:
        """Surcharges of every list, the strongest first."""
        return [surcharge for one in self.lists for surcharge in one.surcharges]

    @property
    def providers(self) -> list[Provider]:
        """Models with their rules for names, of every list that brings them; of one provider the strongest list's."""
        by_id: dict[str, Provider] = {}
        for one in self.lists:
            for provider in one.providers:
                by_id.setdefault(provider.id, provider)
        return list(by_id.values())

    def _merged(self) -> Iterator[Price]:
        taken: dict[ModelKey, list[Price]] = {}
        for one in self.lists:
            by_model: dict[ModelKey, list[Price]] = {}
            for price in one.prices:
                by_model.setdefault((price.provider, price.model_id), []).append(price)
            for key, prices in by_model.items():
                if key not in taken:
                    taken[key] = prices
                elif taken[key][0].price_source != one.source:  # an older copy of the same list has nothing to add
                    taken[key] = _filled(taken[key], prices)
        for prices in taken.values():
            yield from prices


def _filled(stronger: Sequence[Price], weaker: Sequence[Price]) -> list[Price]:
    """A model's prices with what only the weaker list names: further price classes, and rates of audio, images, thinking.

    Taken only where both lists agree on what the model's other tokens cost, so that an outdated list fills nothing.
    """
    of_tokens = [price for price in weaker if price.unit is None]
    if _standard_rates(of_tokens) != _standard_rates(stronger):
        return list(stronger)
    named = {price.processing for price in stronger if price.unit is None}
    filled = [_with_parts(price, of_tokens) for price in stronger]
    return [*filled, *(price for price in of_tokens if price.processing not in named)]


def _with_parts(price: Price, weaker: Sequence[Price]) -> Price:
    """``price`` with the weaker list's rates of parts that it names none for, where their classes cost the same."""
    if price.unit is not None or price.is_processing_assumed:
        return price
    key = (price.processing, price.context_min_tokens)
    other = next((one for one in weaker if (one.processing, one.context_min_tokens) == key), None)
    parts = {
        part: rate
        for part, whole in SUBSET_RATES.items()
        if other is not None
        and price.rate(part) is None
        and (rate := other.rate(part)) is not None
        and other.rate(whole) == price.rate(whole) != rate
    }
    if other is None or not parts:
        return price
    rates = tuple(parts.get(column, rate) for column, rate in zip(RATE_COLUMNS, price.rates, strict=True))
    note = f"{price.provenance or price.price_source}; {', '.join(parts)}: {other.price_source} {other.price_source_version}"
    return replace(price, rates=rates, provenance=note)


def _standard_rates(prices: Iterable[Price]) -> set[tuple[int, Decimal | None, Decimal | None]]:
    """(band, input, output) of the standard rates that are still in force."""
    return {
        (price.context_min_tokens, price.rate("input_uncached_per_mtok"), price.rate("output_per_mtok"))
        for price in prices
        if price.processing == "standard" and price.unit is None and price.valid_to is None
    }
