"""Google's SKU descriptions: read whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.sources.rows.google_meters import read_google_sku
from usage_etl.units import TOKEN_CLASSES

KNOWN = {
    "Gemini 3 Flash Text Input - Predictions": ("gemini-3-flash", "input_uncached_tokens", "standard", None, "Text Input"),
    "Gemini 2.5 Pro Text Input (Long) - Predictions": (
        "gemini-2.5-pro",
        "input_uncached_tokens",
        "standard",
        "long",
        "Text Input",
    ),
    "Gemini 2.5 Flash GA Thinking Text Output - Predictions": (
        "gemini-2.5-flash",
        "output_tokens",
        "standard",
        None,
        "Text Output",
    ),
    "Gemini 2.5 Pro Text Output (Long & Standard) - Predictions": (
        "gemini-2.5-pro",
        "output_tokens",
        "standard",
        None,
        "Text Output",
    ),
    "Gemini 2.5 Flash Text Output (Thinking On) - Batch Predictions": (
        "gemini-2.5-flash",
        "output_tokens",
        "batch",
        None,
        "Text Output",
    ),
    "Gemini 2.5 Pro Input Text Caching (Long)": ("gemini-2.5-pro", "cache_read_tokens", "standard", "long", "Text Cached Input"),
    "Gemini 3.7 Flash Global Text Input Priority - Predictions": (
        "gemini-3.7-flash",
        "input_uncached_tokens",
        "priority",
        None,
        "Text Input",
    ),
    "Generate content input token count gemini 2.5 flash lite short input text": (
        "gemini-2.5-flash-lite",
        "input_uncached_tokens",
        "standard",
        "short",
        "Text Input",
    ),
    "Generate_content cached text input token count for gemini 3 flash": (
        "gemini-3-flash",
        "cache_read_tokens",
        "standard",
        None,
        "Text Cached Input",
    ),
    "Generate content input token count gemini 3.7 flash image flex caching": (
        "gemini-3.7-flash",
        "cache_read_tokens",
        "flex",
        None,
        "Image Cached Input",
    ),
    "GenerateContent text output token count for Gemini 2.0 Flash": (
        "gemini-2.0-flash",
        "output_tokens",
        "standard",
        None,
        "Text Output",
    ),
    "EmbedContent input token count for gemini-embedding-2 text": (
        "gemini-embedding-2",
        "input_uncached_tokens",
        "standard",
        None,
        "Text Input",
    ),
    "Claude Sonnet 4.5 - Cache Write 1h Tokens": ("claude-sonnet-4-5", "cache_write_1h_tokens", "standard", None, "Cache Write"),
}
OTHERS = (
    None,
    "",
    "N2 Instance Core running in Netherlands",
    "Gemini 2.5 Flash",
    "Gemini 2.5 Flash Native Audio Output",
    "Gemini 2.5 Flash Text Input and Output",
    "Gemini 2.5 Flash Text Image Input",
    "Gemini 2.5 Flash Cached Output",
    "Gemini 2.5 Flash Text Input Characters",
    "Text Input - Predictions",
)
BESIDE = (
    "LLM Grounding with Google Search tool - Predictions",
    "Vertex AI: Provisioned Throughput 1 month",
    "Commitment - dollar based v1: Vertex AI",
)


@pytest.mark.parametrize(("description", "expected"), KNOWN.items())
def test_a_known_description_says_everything(description: str, expected: tuple[str | None, ...]) -> None:
    sku = read_google_sku(description)
    meter = sku.meter
    assert (meter.model_raw, meter.token_class, meter.processing, meter.context_band, sku.counts) == expected
    assert (meter.meter_mapping, meter.meter_unit) == ("mapped", "Tokens")


@pytest.mark.parametrize("description", OTHERS)
def test_what_is_not_known_whole_is_unmapped(description: str | None) -> None:
    sku = read_google_sku(description)
    assert (sku.meter.meter_mapping, sku.meter.model_raw, sku.meter.token_class, sku.counts) == ("unmapped", None, None, None)


@pytest.mark.parametrize("description", BESIDE)
def test_tools_and_commitments_meter_no_model(description: str) -> None:
    assert read_google_sku(description).meter.meter_mapping == "not_usage"


def test_the_storage_of_a_cache_names_its_model_and_no_tokens() -> None:
    sku = read_google_sku("Gemini 3 Flash Text Input Caching Storage")
    assert (sku.meter.meter_mapping, sku.meter.model_raw, sku.meter.token_class) == ("not_usage", "gemini-3-flash", None)


def test_where_a_model_may_run_is_read() -> None:
    assert read_google_sku("Gemini 3.7 Flash Global Text Input - Predictions").meter.deployment_scope == "global"


@given(
    st.text(max_size=30) | st.sampled_from(sorted(KNOWN)).flatmap(lambda text: st.text(max_size=3).map(lambda end: text + end))
)
def test_a_token_class_is_one_of_ours_or_none(text: str) -> None:
    meter = read_google_sku(text).meter
    assert meter.token_class in (None, *TOKEN_CLASSES)
    assert (meter.meter_mapping == "mapped") == (meter.token_class is not None)
