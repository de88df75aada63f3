"""Our prices and LiteLLM's spend agree to nine digits where the lists do, and every difference has a name."""

import dataclasses
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pricing.litellm_spend import PRICE_MAP, Rates, Usage, spend
from tests.unit.pricing.test_price_book import NO_CONTRACT, contract
from tests.unit.sources.spend_logs import outcome_of, record
from tests.unit.staged_rows import DAY
from usage_etl.events import normalise
from usage_etl.periods import Month
from usage_etl.pricing import (
    ListPrices,
    ModelCatalog,
    day_prices,
    explain_source_costs,
    price_book,
    rate,
    source_cost_summary,
    summed_source_costs,
)
from usage_etl.schemas.marts import MART_SOURCE_COSTS, SOURCE_COST_REASONS

BOOK = price_book(ListPrices.bundled(), NO_CONTRACT)
CATALOG = ModelCatalog()
SONNET = ("anthropic", "claude-sonnet-4-5-20250929")
HAIKU = ("anthropic", "claude-haiku-4-5-20251001")
GPT = ("openai", "gpt-4o")
BATCH = Usage(1000, 100, is_batch=True)
CACHED = Usage(prompt=9000, completion=500, read=4000, write=3000, write_1h=1000)


def row(model: tuple[str, str], usage: Usage, cost: float | None, **changes: Any) -> dict[str, Any]:
    """A row of the request log as LiteLLM writes it."""
    host, name = model
    details = {
        "cached_tokens": usage.read,
        "cache_creation_tokens": usage.write,
        "cache_creation_token_details": {
            "ephemeral_5m_input_tokens": usage.write - usage.write_1h,
            "ephemeral_1h_input_tokens": usage.write_1h,
        },
    }
    return record(
        call_type="aretrieve_batch" if usage.is_batch else "acompletion",
        custom_llm_provider=host,
        model=name,
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        total_tokens=usage.prompt + usage.completion,
        metadata={"usage_object": {"prompt_tokens_details": details}, "status": "success"},
        spend=cost,
        **changes,
    )


def explained(*rows: dict[str, Any], book: pl.DataFrame = BOOK, factors: tuple[Decimal, ...] = ()) -> pl.DataFrame:
    """Rows of the log parsed, staged, normalised and priced as the product does, and explained."""
    lines = "\n".join(json.dumps({**one, "request_id": f"r{number:06d}"}) for number, one in enumerate(rows))
    staged = outcome_of(lines).usage
    assert staged.height == len(rows)
    models = CATALOG.resolve(staged.select("host_raw", "model_raw").cast(pl.String))
    prices = day_prices(book, models, day=DAY)
    priced = rate(normalise(staged.lazy()).with_columns(prices.slot_columns()), prices=prices).sort("event_id").collect()
    return explain_source_costs(priced, book=book, factors=factors)


def reason_of(model: tuple[str, str], usage: Usage, cost: float | None, **changes: Any) -> str:
    options = {name: changes.pop(name) for name in ("book", "factors") if name in changes}
    return str(explained(row(model, usage, cost, **changes), **options)["source_cost_reason"].item())


@st.composite
def calls(draw: st.DrawFn) -> tuple[tuple[str, str], Usage]:
    model = draw(st.sampled_from(list(PRICE_MAP)))
    rates = PRICE_MAP[model]
    prompt = draw(st.one_of(st.integers(1, 5000), st.integers(199_990, 200_010), st.integers(1, 10**6)))
    read = draw(st.integers(0, prompt)) if rates.read is not None else 0
    write = draw(st.integers(0, prompt - read)) if rates.creation is not None else 0
    write_1h = draw(st.integers(0, write))
    completion = draw(st.integers(0, 10**5)) if rates.output else 0
    is_batch = rates.batches is not None and draw(st.booleans())
    return model, Usage(prompt, completion, read, write, write_1h, is_batch)


@settings(max_examples=30)
@given(st.lists(calls(), min_size=1, max_size=20))
def test_where_the_lists_agree_every_request_agrees_to_nine_digits(found: list[tuple[tuple[str, str], Usage]]) -> None:
    """Through the whole way: line, staged row, token classes, price, product."""
    rows = explained(*(row(model, usage, spend(PRICE_MAP[model], usage)) for model, usage in found))

    assert rows["source_cost_reason"].to_list() == ["agrees"] * len(found)
    relative = (rows["source_cost_usd"] / rows["effective_cost"].cast(pl.Float64) - 1).abs()
    assert relative.max() <= 1e-9
    assert rows["price_status"].cast(pl.String).to_list() == ["priced"] * len(found)


def test_the_sum_of_many_requests_agrees_too() -> None:
    usages = [Usage(prompt=1000 + n, completion=n, read=n) for n in range(500)]
    rows = explained(*(row(GPT, usage, spend(PRICE_MAP[GPT], usage)) for usage in usages))

    assert rows["source_cost_usd"].sum() == pytest.approx(float(rows["effective_cost"].sum()), rel=1e-9)


def plain(rates: Rates, **changes: Any) -> Rates:
    return dataclasses.replace(rates, **changes)


@pytest.mark.parametrize(
    ("model", "usage", "cost", "reason"),
    [
        (GPT, Usage(1000, 100), None, "not_reported"),
        (GPT, Usage(1000, 100), 0.0, "source_not_priced"),
        (GPT, Usage(1000, 100), 0.0036, "price_differs"),
        (("openai", "our-own-model"), Usage(1000, 100), 0.01, "not_priced"),
        (SONNET, CACHED, spend(plain(PRICE_MAP[SONNET], read=3e-06), CACHED), "cache_semantics"),
        (SONNET, CACHED, spend(plain(PRICE_MAP[SONNET], creation_1h=3.75e-06), CACHED), "cache_semantics"),
        (SONNET, CACHED, spend(Rates(3e-06, 1.5e-05), CACHED), "cache_semantics"),
        (SONNET, CACHED, spend(PRICE_MAP[SONNET], dataclasses.replace(CACHED, prompt=16_000)), "cache_semantics"),
        (SONNET, Usage(250_000, 10), spend(plain(PRICE_MAP[SONNET], above_200k=None), Usage(250_000, 10)), "tier"),
        (SONNET, Usage(150_000, 10), spend(PRICE_MAP[SONNET].above_200k or PRICE_MAP[SONNET], Usage(150_000, 10)), "tier"),
        (GPT, BATCH, spend(plain(PRICE_MAP[GPT], batches=None), BATCH), "tier"),
        (GPT, Usage(0, 0), 0.01, "usage_missing"),
    ],
)  # fmt: skip
def test_every_difference_has_a_name(model: tuple[str, str], usage: Usage, cost: float | None, reason: str) -> None:
    assert reason_of(model, usage, cost) == reason


@pytest.mark.parametrize(
    ("factor", "reason"), [("1.05", "margin_or_discount"), ("0.9", "margin_or_discount"), ("1.06", "price_differs")]
)
def test_a_margin_is_named_where_it_is_known(factor: str, reason: str) -> None:
    cost = spend(PRICE_MAP[HAIKU], CACHED) * float(factor)
    assert reason_of(HAIKU, CACHED, cost, factors=(Decimal("1.05"), Decimal("0.9"))) == reason


def test_a_hit_of_the_gateways_own_cache_that_is_charged_is_named() -> None:
    assert reason_of(GPT, Usage(1000, 100), 0.0035, cache_hit="True") == "cache_hit"
    assert reason_of(GPT, Usage(1000, 100), 0.0, cache_hit="True") == "agrees"


def test_a_failed_call_that_one_side_charges_is_named() -> None:
    """One that failed amid its answer has tokens and a price; LiteLLM writes no spend for it."""
    assert reason_of(GPT, Usage(1000, 100), 0.0, status="failure") == "failed"
    assert reason_of(GPT, Usage(0, 0), 0.01, status="failure") == "failed"
    assert reason_of(GPT, Usage(0, 0), 0.0, status="failure") == "agrees"


def test_a_negotiated_price_differs_and_one_in_another_currency_is_not_compared() -> None:
    agreed = contract({"model_id": "gpt-4o", "input_uncached_per_mtok": "2", "valid_from": "2026-01-01"})
    cost = spend(PRICE_MAP[GPT], Usage(1000, 100))

    assert reason_of(GPT, Usage(1000, 100), cost, book=price_book(ListPrices.bundled(), agreed)) == "price_differs"
    in_euro = contract({"model_id": "gpt-4o", "currency": "EUR", "input_uncached_per_mtok": "2", "valid_from": "2026-01-01"})
    assert reason_of(GPT, Usage(1000, 100), cost, book=price_book(ListPrices.bundled(), in_euro)) == "other_currency"


def test_rows_stay_in_order_and_the_summary_adds_up() -> None:
    usages = [Usage(1000, 100), CACHED, Usage(5, 5)]
    rows = explained(
        row(GPT, usages[0], spend(PRICE_MAP[GPT], usages[0])),
        row(HAIKU, usages[1], 7.5),
        row(GPT, usages[2], 0.25),
        row(GPT, usages[2], None),
    )
    summary = source_cost_summary(rows, month=Month.of(DAY))

    assert rows["source_cost_reason"].to_list() == ["agrees", "price_differs", "price_differs", "not_reported"]
    assert set(rows["source_cost_reason"]) <= set(SOURCE_COST_REASONS)
    assert summary["requests_count"].sum() == 4
    assert summary["effective_cost"].sum() == rows["effective_cost"].sum()
    assert summary["source_cost_difference_usd"].sum() == pytest.approx(rows["source_cost_difference_usd"].sum())
    assert summary["model_id"].to_list() == ["claude-haiku-4-5", "gpt-4o", "gpt-4o", "gpt-4o"]
    assert summary.filter(pl.col("source_cost_reason") == "not_reported")["source_cost_usd"].to_list() == [None]
    assert MART_SOURCE_COSTS.validate(MART_SOURCE_COSTS.conform(summary.lazy()).collect()).height == 4


def test_days_add_up_to_their_month() -> None:
    rows = explained(*(row(GPT, Usage(1000, 100), cost, request_id=f"r{cost}") for cost in (0.25, 0.5, 0.75)))
    month, days = Month.of(DAY), [rows[:1], rows[1:]]
    parts = pl.concat([source_cost_summary(part, month=month) for part in days])
    assert summed_source_costs(parts).equals(source_cost_summary(rows, month=month))


def test_no_requests_are_no_differences() -> None:
    empty = explained(row(GPT, Usage(1, 1), 0.0)).clear().drop("source_cost_reason", "source_cost_difference_usd")
    assert explain_source_costs(empty, book=BOOK).is_empty()
