"""Published lists: LiteLLM's file flattened exactly, gaps filled and nothing overruled, snapshots that replace older ones."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import resources
from typing import Any

import polars as pl
import pytest

from tests.unit.pricing.requests import contract_of, rated
from usage_etl.errors import PriceBookError
from usage_etl.pricing import ListPrices, ModelCatalog, parse_price_file, price_book, with_files
from usage_etl.pricing.litellm_file import flatten_litellm
from usage_etl.pricing.price import RATE_COLUMNS, clean_rate

LISTS = ListPrices.bundled()
BOOK = price_book(LISTS, contract_of())


def entry(**costs: Any) -> dict[str, Any]:
    return {"litellm_provider": "openai", "mode": "chat", "source": "https://example.org/prices", **costs}


def flat(**entries: dict[str, Any]) -> list[dict[str, str | None]]:
    document = json.loads(json.dumps(entries), parse_float=Decimal)
    return flatten_litellm(document)[0]


def test_rates_per_token_become_exact_rates_per_million() -> None:
    row = flat(model=entry(input_cost_per_token=1.0000000000000001e-07, output_cost_per_token=2.5e-06))[0]
    assert (row["input_uncached_per_mtok"], row["output_per_mtok"], row["source"]) == ("0.1", "2.5", "https://example.org/prices")


def test_classes_and_bands_are_rows_and_a_band_inherits_what_it_does_not_state() -> None:
    costs = {
        "input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6, "cache_read_input_token_cost": 2e-7,
        "input_cost_per_token_above_200k_tokens": 4e-6, "input_cost_per_token_batches": 1e-6,
        "input_cost_per_token_above_200k_tokens_batches": 2e-6, "cache_creation_input_token_cost_above_1hr": 4e-6,
        "input_cost_per_token_ultrafast": 9e-6, "supports_vision": True,
    }  # fmt: skip
    rows = flat(model=entry(**costs))
    found = {(row["processing"], row["context_min_tokens"]): row for row in rows}
    assert set(found) == {("standard", "0"), ("standard", "200000"), ("batch", "0"), ("batch", "200000")}
    assert found["standard", "200000"]["output_per_mtok"] == "8"
    assert found["standard", "0"]["cache_write_1h_per_mtok"] == "4"
    assert found["batch", "200000"]["input_uncached_per_mtok"] == "2"
    assert "output_per_mtok" not in found["batch", "0"], "the standard rate is not a batch rate"


def test_tiers_by_range_are_bands_and_fast_is_a_multiple() -> None:
    tiers = [{"input_cost_per_token": 1e-6, "range": [0, 32000.0]}, {"input_cost_per_token": 2e-6, "range": [32000.0, 128000.0]}]
    assert [row["context_min_tokens"] for row in flat(model=entry(tiered_pricing=tiers))] == ["0", "32000"]
    fast = entry(input_cost_per_token=5e-6, provider_specific_entry={"fast": 2.0, "us": 1.1}) | {"litellm_provider": "anthropic"}
    assert [row["input_uncached_per_mtok"] for row in flat(model=fast) if row["processing"] == "fast"] == ["10"]


def test_an_entry_that_is_free_or_unknown_is_left_out_and_so_is_an_output_of_embeddings() -> None:
    free = entry(input_cost_per_token=0.0, output_cost_per_token=0.0)
    embedding = entry(input_cost_per_token=1e-7, output_cost_per_token=0.0) | {"mode": "embedding"}
    rows = flat(free=free, embedding=embedding, sample_spec=embedding, no_provider={"input_cost_per_token": 1e-6})
    assert [row["litellm_key"] for row in rows] == ["embedding"]
    assert "output_per_mtok" not in rows[0]


def test_a_model_billed_by_a_unit_has_a_unit_row_and_one_billed_by_tokens_has_none() -> None:
    whisper = entry(input_cost_per_second=0.0001, output_cost_per_second=0.0001) | {"mode": "audio_transcription"}
    rows = flat(whisper=whisper, both=whisper | {"input_cost_per_token": 1e-6})
    assert [(row["litellm_key"], row.get("unit"), row.get("per_unit")) for row in rows] == [
        ("whisper", "seconds", "0.0001"), ("both", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("cost", [-1e-6, "1e400"])
def test_a_price_that_is_none_names_its_model(cost: Any) -> None:
    document = json.loads(json.dumps({"bad": entry(input_cost_per_token=0)}).replace(": 0", f": {cost}"), parse_float=Decimal)
    if cost == "1e400":
        document["bad"]["input_cost_per_token"] = Decimal("Infinity")
    with pytest.raises(ValueError, match="bad: not a price"):
        flatten_litellm(document)


@pytest.mark.parametrize(
    ("noisy", "clean"),
    [("0.18000000000000002", "0.18"), ("0.0328571428571428", "0.032857142857"), ("15", "15"), ("1E+3", "1000"), ("0", "0"),
     ("123456789012.7", "123456789013"), ("0.0000000000004", "0")],
)  # fmt: skip
def test_float_noise_is_cut(noisy: str, clean: str) -> None:
    assert str(clean_rate(Decimal(noisy))) == clean


def test_a_model_that_only_litellm_lists_is_priced_by_it_and_marked_so() -> None:
    row = rated(BOOK, {"host_raw": "dashscope", "model_raw": "dashscope/qwen-flash", "reported_output_tokens": 0}).row(
        0, named=True
    )
    assert row["effective_cost"] == 1000 * Decimal("0.05") / 1_000_000
    price = BOOK.filter(price_id=row["price_id"]).row(0, named=True)
    assert (price["price_source"], price["price_source_version"]) == ("litellm", LISTS.lists[1].version)
    assert price["provenance"].startswith("dashscope/qwen-flash, https://")


def test_litellm_never_overrules_genai_prices() -> None:
    strong = price_book(ListPrices.bundled(("genai-prices",)), contract_of())
    key = ["provider", "model_id", "processing", "unit", "context_min_tokens", "valid_from", "from_minute"]
    columns = ("input_uncached_per_mtok", "cache_read_per_mtok", "output_per_mtok", "per_unit", "price_source")
    beside = BOOK.filter(pl.col("region").is_null()).join(strong, on=key, how="inner", nulls_equal=True)
    assert beside.height == strong.height
    for column in columns:
        assert beside[column].eq_missing(beside[f"{column}_right"]).all(), column


def test_audio_rates_that_only_litellm_names_are_taken_where_both_agree_on_text() -> None:
    price = BOOK.filter(provider="openai", model_id="gpt-4o-audio-preview", processing="standard").row(0, named=True)
    assert (price["price_source"], price["input_audio_per_mtok"], price["output_audio_per_mtok"]) == ("genai-prices", 40, 80)
    assert "input_audio_per_mtok, output_audio_per_mtok: litellm" in price["provenance"]


def test_a_list_that_is_switched_off_prices_nothing() -> None:
    asked = {"host_raw": "dashscope", "model_raw": "dashscope/qwen-flash"}
    only = price_book(ListPrices.bundled(("genai-prices",)), contract_of())
    assert rated(only, asked)["price_status"].to_list() == ["unpriced"]
    assert set(only["price_source"]) == {"genai-prices"}
    assert ListPrices.bundled(("litellm",)).version == LISTS.lists[1].title


def test_the_bundled_copy_says_where_it_is_from() -> None:
    data = resources.files("usage_etl.pricing") / "data"
    notice = (data / "NOTICE.md").read_text(encoding="utf-8")
    assert "Copyright (c) 2023 Berri AI" in notice
    header = (data / "litellm_prices.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert set(RATE_COLUMNS) < set(header)


def genai_snapshot(price: str) -> bytes:
    model = {"id": "gpt-5.2", "match": {"equals": "gpt-5.2"}, "prices": {"input_mtok": "PRICE", "output_mtok": 14}}
    newer = {
        "id": "gpt-99",
        "match": {"starts_with": "gpt-99"},
        "prices": {"input_mtok": {"base": 1, "tiers": [{"start": 200000, "price": 2}]}},
    }
    document = [{"id": "openai", "name": "OpenAI", "api_pattern": "https://api", "models": [model, newer]}]
    return json.dumps(document).replace('"PRICE"', price).encode()


def test_a_newer_snapshot_replaces_the_bundled_prices_and_brings_its_names() -> None:
    parsed = parse_price_file("newer.json", genai_snapshot("1.50"))
    lists = with_files(LISTS, [parsed])
    book = price_book(lists, contract_of())
    row = book.filter(provider="openai", model_id="gpt-5.2", processing="standard").row(0, named=True)
    assert (parsed.kind, row["input_uncached_per_mtok"]) == ("genai-prices", Decimal("1.5"))
    assert row["price_source_version"].startswith("newer.json ")
    assert book.filter(provider="openai", model_id="gpt-99")["context_min_tokens"].sort().to_list() == [0, 200_000]
    assert book.filter(provider="openai", model_id="gpt-5.1").height, "what the snapshot does not list stays as it was"
    assert any(model.id == "gpt-99" for provider in lists.providers for model in provider.models)


def test_of_two_snapshots_the_newest_counts() -> None:
    files = [parse_price_file(name, genai_snapshot(price)) for name, price in (("2.json", "3"), ("1.json", "2"))]
    book = price_book(with_files(LISTS, files), contract_of())
    assert book.filter(provider="openai", model_id="gpt-5.2", processing="standard")["input_uncached_per_mtok"][0] == 3


CSV = b"provider,model_id,valid_from,currency,input_uncached_per_mtok,note\n"


def test_hand_kept_prices_lie_over_the_lists_and_under_the_contract() -> None:
    older = parse_price_file("older.csv", CSV + b"openai,gpt-5.2,2026-10-01,USD,1.60,older\nvendor,m,2026-01-01,USD,7,\n")
    newer = parse_price_file("newer.csv", CSV + b"openai,gpt-5.2,2026-11-01,USD,1.55,newer\n")
    lists = with_files(LISTS, [newer, older])
    agreed = contract_of(
        {"provider": "openai", "model_id": "gpt-5.2", "input_uncached_per_mtok": "1", "valid_from": "2026-12-01"}
    )
    rows = price_book(lists, agreed).filter(provider="openai", model_id="gpt-5.2", processing="standard", context_min_tokens=0)
    rows = rows.filter(pl.col("region").is_null(), pl.col("unit").is_null()).sort("valid_from")
    found = rows.select("price_source", "input_uncached_per_mtok").rows()
    assert found == [
        ("genai-prices", Decimal("1.75")),
        ("manual", Decimal("1.6")),
        ("manual", Decimal("1.55")),
        ("contract", Decimal(1)),
    ]
    assert "manual prices" in lists.version


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"[" * 100_000, "not valid JSON"),
        ("a.json", b'{"x": 1}', "neither a list of providers"),
        ("a.json", b'[{"id": "x"}]', "not a genai-prices snapshot"),
        ("a.json", b"[]", "holds no price"),
        ("a.json", b'{"m": {"litellm_provider": "openai", "input_cost_per_token": -1}}', "m: not a price"),
        ("a.json", b'{"m": {"litellm_provider": "openai", "input_cost_per_token": 0}}', "holds no price"),
        ("a.csv", b"\xff\xfe\x00", "not UTF-8"),
        ("a.csv", b"", "column provider is missing"),
        ("a.csv", b"provider,model_id\nx,y\n", "column valid_from is missing; column currency is missing"),
        ("a.csv", CSV.replace(b"note", b"colour"), "column 'colour' is not known"),
        ("a.csv", CSV + b"openai,gpt-5.2,2026-10-01,USD\n", "line 2: 4 cells"),
        ("a.csv", CSV + b"openai,gpt-5.2,2026-10-01,USD,-3,\nopenai,,2026-10-01,USD,3,\n", "line 2: .*line 3: model_id is empty"),
        ("a.csv", CSV + b'openai,"gpt\n', "not a CSV file"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(name: str, content: bytes, fault: str) -> None:
    with pytest.raises(PriceBookError, match=fault):
        parse_price_file(name, content)


@pytest.mark.parametrize(
    ("name", "host", "listed_by"),
    [
        ("grok-4", "x-ai", "x-ai"),
        ("kimi-k2", "moonshotai", "moonshotai"),
        ("ministral-8b-latest", "mistral", "mistral"),
        ("models/gemini-2.5-pro", "google", "google"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws", "aws"),
        ("amazon.nova-pro-v1:0", "aws", "aws"),
        ("internal-llama-ft", "unknown", None),
        ("my.anthropic.claude", "unknown", None),
    ],
)
def test_a_name_without_host_is_served_by_who_alone_uses_such_names(name: str, host: str, listed_by: str | None) -> None:
    assert ModelCatalog().find(None, name)[1::2] == (host, listed_by)


def test_a_named_host_is_never_replaced_by_what_the_model_is_called() -> None:
    assert ModelCatalog().find("hosted_vllm", "grok-local")[1] == "hosted_vllm"
    assert ModelCatalog().find("groq", "kimi-k2")[1] == "groq"
