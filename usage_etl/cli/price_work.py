"""What the price commands do: compose settings, lake and price files around the pure rooms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from usage_etl.config import load_settings
from usage_etl.config.price_files import accepted_files, contract_of, surcharges_of
from usage_etl.config.settings import Settings
from usage_etl.errors import PriceBookError
from usage_etl.keys import is_slug
from usage_etl.periods import Month
from usage_etl.pricing import ListPrices, ModelCatalog, parse_price_file, price_book, with_files
from usage_etl.pricing.differences import Disagreements, disagreements
from usage_etl.pricing.explain import Explanation, explain_request
from usage_etl.pricing.lists import LIST_SOURCES
from usage_etl.pricing.reprice import repricing_effect
from usage_etl.schemas import DIM_PRICE, FACT_USAGE_DAILY
from usage_etl.sources.registry import SOURCE_KINDS


@dataclass(frozen=True)
class PriceImport:
    """What a price file is, what it does to the price book, and what it would have done to a month."""

    kind: str
    month: Month
    models_count: int
    rows_added_count: int
    rows_removed_count: int
    effect: pl.DataFrame
    written_to: str | None

    @property
    def changed(self) -> pl.DataFrame:
        """Models whose cost or pricing changes."""
        counts = ("newly_priced_count", "no_longer_priced_count", "undecided_count")
        return self.effect.filter((pl.col("difference") != 0) | pl.any_horizontal(pl.col(name) > 0 for name in counts))

    @property
    def totals(self) -> list[tuple[object, ...]]:
        """One line per currency over all models."""
        measures = [name for name in self.effect.columns if name not in {"host", "model_id", "currency"}]
        summed = self.effect.group_by("currency").agg(pl.col(measures).sum()).sort("currency")
        return [("total", "", currency, *rest) for currency, *rest in summed.select("currency", *measures).iter_rows()]


def lists_compared(config: Path, *, at: dt.datetime, provider: str, min_pct: Decimal) -> Disagreements:
    """Disagreements of the newest genai-prices and LiteLLM lists at hand, of one provider where it is named."""
    files = accepted_files(load_settings(config, kinds=SOURCE_KINDS)) if config.exists() else {}
    lists = with_files(ListPrices.bundled(), [parse_price_file(name, content) for name, content in files.items()]).lists
    strong, weak = (next(one for one in lists if one.source == source) for source in LIST_SOURCES)
    found = disagreements(strong, weak, at=at)
    is_large = pl.col("difference_pct").is_null() | (pl.col("difference_pct").abs() >= min_pct)
    differences = found.differences.filter(is_large)
    if provider:
        kept = pl.col("provider") == provider
        return Disagreements(found.strong, found.weak, differences.filter(kept), found.coverage.filter(kept))
    return Disagreements(found.strong, found.weak, differences, found.coverage)


def explained(
    config: Path,
    *,
    host: str | None,
    model: str,
    at: dt.datetime,
    counts: Mapping[str, int],
    words: Mapping[str, str | None],
    quantity: Decimal | None,
) -> Explanation:
    """One request by the prices of the settings file, or by the bundled lists where there is none. Raises PriceBookError."""
    if config.exists():
        settings = load_settings(config, kinds=SOURCE_KINDS)
        listed, book = _prices(settings, accepted_files(settings))
        aliases = settings.prices.model_aliases
    else:
        listed = ListPrices.bundled()
        book, aliases = price_book(listed, contract_of_nobody()), {}
    return explain_request(
        book, ModelCatalog(aliases, listed.providers), host=host, model=model, at=at, counts=counts, words=words,
        quantity=quantity,
    )  # fmt: skip


def import_price_file(config: Path, file: Path, *, month: Month | None, accept: bool) -> PriceImport:
    """Checks a price file, prices a month's facts anew by it, and with ``accept`` writes it into the price folder.

    Raises PriceBookError when the file cannot be used, ConfigError when the settings cannot.
    """
    from assets.resources import open_workspace  # imports Dagster

    workspace = open_workspace(str(config.resolve()))
    settings = workspace.settings
    content = file.read_bytes()
    parsed = parse_price_file(file.name, content)
    known = accepted_files(settings)
    if content in known.values():
        raise PriceBookError(f"{file.name}: a file with this very content was taken in before")
    name = f"{dt.datetime.now(tz=dt.UTC):%Y%m%dT%H%M%S}-{_safe_name(file)}"
    _, old_book = _prices(settings, known)
    listed, new_book = _prices(settings, {name: content, **known})
    of_month = month or _month_before(workspace.as_of_date)
    days = [
        day
        for day in workspace.lake.partitions(FACT_USAGE_DAILY)
        if of_month.first_day <= dt.date.fromisoformat(day) < of_month.end
    ]
    daily = workspace.lake.scan(FACT_USAGE_DAILY, days).collect()
    stored = workspace.table(DIM_PRICE) if workspace.lake.partitions(DIM_PRICE) else old_book
    catalog = ModelCatalog(settings.prices.model_aliases, listed.providers)
    effect = repricing_effect(daily, old_book=stored, new_book=new_book, catalog=catalog)
    before, after = set(old_book["price_id"]), set(new_book["price_id"])
    place = Path(settings.resolve(settings.prices.folder)) / name
    if accept:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return PriceImport(
        kind=parsed.kind,
        month=of_month,
        models_count=len({(price.provider, price.model_id) for price in parsed.prices}),
        rows_added_count=len(after - before),
        rows_removed_count=len(before - after),
        effect=effect,
        written_to=str(place) if accept else None,
    )


def contract_of_nobody() -> pl.DataFrame:
    """A contract without rows."""
    from usage_etl.config.contract_files import read_contract

    return read_contract(None)


def _prices(settings: Settings, files: Mapping[str, bytes]) -> tuple[ListPrices, pl.DataFrame]:
    parsed = [parse_price_file(name, content) for name, content in sorted(files.items(), reverse=True)]
    listed = with_files(ListPrices.bundled(settings.prices.sources), parsed)
    return listed, price_book(listed, contract_of(settings), surcharges_of(settings))


def _month_before(day: dt.date) -> Month:
    return Month.of(day.replace(day=1) - dt.timedelta(days=1))


def _safe_name(file: Path) -> str:
    """The file's own name where it may stand in a path of ours, else a plain one; the kind of file is kept."""
    suffix = ".json" if file.suffix.lower() == ".json" else ".csv"
    return (file.stem.lower() if is_slug(file.stem.lower()) else "prices") + suffix
