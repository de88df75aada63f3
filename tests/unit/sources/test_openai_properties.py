"""Whatever a page of documented fields says, its amounts and counts arrive whole."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import (
    number,
    openai_bucket,
    openai_page,
    read,
    save,
    total,
)
from usage_etl.sources.openai.parse import parse

amounts = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**9), max_value=10**9)
spellings = st.sampled_from(["{:f}", "{:e}", "{:E}", "{}"])
names = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
counts = st.integers(min_value=0, max_value=10**13)


@st.composite
def cost_results(draw: st.DrawFn) -> tuple[Decimal, dict[str, object]]:
    """An amount, and a result that states it in one of many spellings with every documented field filled."""
    amount = draw(amounts)
    text = draw(spellings).format(amount)
    cell = draw(st.sampled_from([number(text), text]))
    quantity = number(str(draw(st.integers(0, 10**9))))
    result = {
        "object": "organization.costs.result",
        "amount": {"value": cell, "currency": draw(st.sampled_from(["usd", "USD", "Usd"]))},
        "line_item": draw(names | st.sampled_from(["gpt-5.2, input", "batch | gpt-5.2, output"])),
        "project_id": draw(names),
        "api_key_id": draw(names),
        "user_id": draw(names),
        "api_source": draw(st.sampled_from([None, "agents_api", "unlabeled"])),
        "quantity": draw(st.sampled_from([None, quantity])),
        "quantity_unit": draw(st.sampled_from([None, "tokens", "1000_tokens", "gibibyte_hours", "new_unit"])),
    }
    return amount, result


@settings(max_examples=50)
@given(st.lists(st.lists(cost_results(), max_size=4), min_size=1, max_size=5), st.integers(1, 3))
def test_charges_add_up_to_the_amounts_sent_however_they_are_paged(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[tuple[Decimal, dict[str, object]]]], per_page: int
) -> None:
    buckets = [openai_bucket(*(result for _, result in results), day=day) for day, results in enumerate(days)]
    pages = [openai_page(*buckets[at : at + per_page]) for at in range(0, len(buckets), per_page)]
    parsed = read(parse, save(tmp_path_factory.mktemp("pages"), {"usage_etl_pull": {"dataset": "costs"}}, *pages))
    assert parsed.reasons == []
    assert len(parsed.covered) == len(days)
    assert total(parsed.charges["billed_cost"]) == total(amount for day in days for amount, _ in day)
    assert parsed.charges.filter((pl.col("billed_cost") < 0) != (pl.col("charge_category") == "Credit")).is_empty()
    assert parsed.charges.filter(pl.col("consumed_quantity").is_null() != pl.col("consumed_unit").is_null()).is_empty()


@st.composite
def usage_results(draw: st.DrawFn) -> dict[str, object]:
    """A result with every documented field filled, cache inside input."""
    cached, written, fresh = draw(counts) // 4, draw(counts) // 4, draw(counts) // 4
    measures = {
        "input_tokens": cached + written + fresh,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": written,
        "input_uncached_tokens": fresh,
        "output_tokens": draw(counts),
        "num_model_requests": draw(counts),
    }
    splits = {}
    for side, whole in (("input", fresh), ("input_cached", cached), ("output", measures["output_tokens"])):
        audio = draw(st.integers(0, whole))
        image = draw(st.integers(0, whole - audio))
        parts = {"text": whole - audio - image, "audio": audio, "image": image}
        splits |= {f"{side}_{modality}_tokens": number(str(count)) for modality, count in parts.items()}
    dimensions = {name: draw(st.sampled_from([None, "", "a", "b"])) for name in ("project_id", "user_id", "api_key_id", "model")}
    return {
        "object": "organization.usage.completions.result",
        **{name: number(str(count)) for name, count in measures.items()},
        **splits,
        **dimensions,
        "batch": draw(st.sampled_from([None, True, False])),
        "service_tier": draw(st.sampled_from([None, "default", "flex", "priority", "scale", "auto"])),
        "api_source": None,
        "input_cache_write_30m_tokens": None,
        "input_cache_write_12h_tokens": None,
    }


@settings(max_examples=50)
@given(st.lists(usage_results(), max_size=12))
def test_usage_tokens_are_conserved_and_events_stay_apart(
    tmp_path_factory: pytest.TempPathFactory, results: list[dict[str, object]]
) -> None:
    page = openai_page(openai_bucket(*results))
    usage = read(parse, save(tmp_path_factory.mktemp("pages"), {"usage_etl_pull": {"dataset": "usage_completions"}}, page)).usage
    assert usage["event_id"].n_unique() == usage.height == len(results)
    for column, field in (
        ("reported_input_tokens", "input_tokens"),
        ("requests_count", "num_model_requests"),
        ("input_audio_tokens", "input_audio_tokens"),
        ("cache_read_image_tokens", "input_cached_image_tokens"),
        ("output_audio_tokens", "output_audio_tokens"),
    ):
        assert usage[column].to_list() == [int(str(result[field])) for result in results]
