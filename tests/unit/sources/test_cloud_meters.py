"""Meters of the clouds are read in full by the maintained tables, or not at all."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.schemas.charge_line import DEPLOYMENT_SCOPES, METER_MAPPINGS
from usage_etl.schemas.staged import PROCESSINGS
from usage_etl.sources.rows.aws_meters import read_meter as read_aws
from usage_etl.sources.rows.aws_models import model_id
from usage_etl.sources.rows.azure_meters import read_meter as read_azure
from usage_etl.sources.rows.meters import NOT_USAGE, UNMAPPED, Meter
from usage_etl.sources.rows.unit_blocks import unit_block, with_consumed
from usage_etl.units import TOKEN_CLASSES

INPUT, READ, OUTPUT = "input_uncached_tokens", "cache_read_tokens", "output_tokens"
WRITE, WRITE_1H = "cache_write_5m_tokens", "cache_write_1h_tokens"
EDITION = "(Amazon Bedrock Edition)"


@pytest.mark.parametrize(
    ("name", "subcategory", "expected"),
    [
        ("gpt-4o-0806-Inp-glbl Tokens", "Azure OpenAI", ("gpt-4o-2024-08-06", INPUT, "standard", None, "global")),
        ("gpt-4o-mini-0718-Batch-Inp-glbl Tokens", "", ("gpt-4o-mini-2024-07-18", INPUT, "batch", None, "global")),
        ("gpt 4.1 cached Inp glbl Tokens", "", ("gpt-4.1", READ, "standard", None, "global")),
        ("gpt 4.1 Inp Data Zone Tokens", "", ("gpt-4.1", INPUT, "standard", None, "data_zone")),
        ("gpt 4.1 nano Outp regnl Tokens", "", ("gpt-4.1-nano", OUTPUT, "standard", None, "regional")),
        ("5.4 mini cd Inp Gl 1M Tokens", "Azure OpenAI GPT5", ("gpt-5.4-mini", READ, "standard", None, "global")),
        ("5.4 pp opt Gl 1M Tokens", "Azure OpenAI GPT5", ("gpt-5.4", OUTPUT, "priority", None, "global")),
        ("5.6 sol ShortCo Cd Wr Std Gl 1M Tokens", "Azure OpenAI", ("gpt-5.6-sol", WRITE, "standard", "short", "global")),
        ("5.6 sol LongCo Inp Std DZ 1M Tokens", "Azure OpenAI", ("gpt-5.6-sol", INPUT, "standard", "long", "data_zone")),
        ("GPT 5.1 inp Rg 1M Tokens", "", ("gpt-5.1", INPUT, "standard", None, "regional")),
        ("gpt-5-codex-ccchd-inp-glbl Tokens", "", ("gpt-5-codex", READ, "standard", None, "global")),
        ("gpt 5 pro out glbl Tokens", "", ("gpt-5-pro", OUTPUT, "standard", None, "global")),
        ("o4-mini 0416 Inp glbl Tokens", "", ("o4-mini-2025-04-16", INPUT, "standard", None, "global")),
        ("text-embedding-3-large-glbl Tokens", "", ("text-embedding-3-large", INPUT, "standard", None, "global")),
        ("K2.5 Thinking Outp DZ Tokens", "Kimi", ("kimi-k2.5-thinking", OUTPUT, "standard", None, "data_zone")),
        ("V3.1 Inp DZone Tokens", "Azure DeepSeek", ("deepseek-v3.1", INPUT, "standard", None, "data_zone")),
    ],
)
def test_azure_token_meters_are_read_in_their_many_spellings(
    name: str, subcategory: str, expected: tuple[str | None, ...]
) -> None:
    assert read_azure("Usage", name, subcategory) == Meter("mapped", *expected, "Tokens")


@pytest.mark.parametrize(
    "name",
    [
        "4.6 Outp DZ L Tokens",
        "5.4 mini cd Inp Gl 1M Tokens",
        "gpt-4o-9999-Inp-glbl Tokens",
        "gpt 4.1 Inp Outp glbl Tokens",
        "gpt 4.1 Inp glbl DZ Tokens",
        "gpt 4.1 cached Outp glbl Tokens",
        "gpt 4.1 glbl Tokens",
        "gpt 4.1 FTuned Inp glbl Tokens",
        "gpt 4o rt aud 1217 Inp glbl Tokens",
        "gpt-4.1x Inp glbl Tokens",
        "Image-DALL-E-3 Std LowRes-glbl Images",
        "Tokens",
        "",
        None,
    ],
)
def test_azure_meters_with_one_unlisted_word_are_unmapped(name: str | None) -> None:
    assert read_azure("Usage", name, "Partner Models") == UNMAPPED


def test_azure_capacity_and_other_charges_meter_no_model() -> None:
    assert read_azure("Usage", "Provisioned Managed Data Zone Unit", "Azure OpenAI") == Meter(
        "not_usage", deployment_scope="data_zone"
    )
    assert read_azure("Purchase", "gpt 4.1 Inp glbl Tokens", "Azure OpenAI") == NOT_USAGE


@pytest.mark.parametrize(
    ("usage_type", "product", "expected"),
    [
        (
            "USE1-Claude4.6Sonnet-cache-read-input-token-count",
            None,
            ("anthropic.claude-sonnet-4-6", READ, "standard", None, "regional"),
        ),
        ("USE1-Nova2.0Lite-input-tokens-flex", None, ("amazon.nova-2-lite-v1:0", INPUT, "flex", None, "regional")),
        (
            "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard",
            None,
            ("openai.gpt-oss-120b-1:0", INPUT, "standard", None, "regional"),
        ),
        (
            "USE1-anthropic.claude-opus-4-8-mantle-cache-write-input-token-count-1h",
            None,
            ("anthropic.claude-opus-4-8", WRITE_1H, "standard", None, "regional"),
        ),
        (
            "USW2-Claude4.5Sonnet-output-tokens-cross-region-global",
            None,
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", OUTPUT, "standard", None, "global"),
        ),
        (
            "EU-Claude3Haiku-input-tokens-batch",
            None,
            ("anthropic.claude-3-haiku-20240307-v1:0", INPUT, "batch", None, "regional"),
        ),
        ("NovaPro-output-tokens", None, ("amazon.nova-pro-v1:0", OUTPUT, "standard", None, "regional")),
        (
            "USE1-MP:USE1_InputTokenCount-Units",
            f"Claude Haiku 4.5 {EDITION}",
            ("anthropic.claude-haiku-4-5-20251001-v1:0", INPUT, "standard", None, "regional"),
        ),
        (
            "USW2-MP:USW2_input_tokens_global_standard-Units",
            f"Claude Opus 5.5 {EDITION}",
            ("global.anthropic.claude-opus-5-5", INPUT, "standard", None, "global"),
        ),
        (
            "USE1-MP:USE1_CacheReadInputTokenCount_Global-Units",
            f"Claude Sonnet 4.6 {EDITION}",
            ("global.anthropic.claude-sonnet-4-6", READ, "standard", None, "global"),
        ),
        (
            "USE1-MP:USE1_CacheWrite1hInputTokenCount-Units",
            f"Claude 3.5 Sonnet v2 {EDITION}",
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", WRITE_1H, "standard", None, "regional"),
        ),
        (
            "USE1-MP:USE1_cache_write_tokens_batch-Units",
            f"OpenAI GPT-5.6 Sol {EDITION}",
            ("openai.gpt-5.6-sol", WRITE, "batch", None, "regional"),
        ),
        (
            "USE1-MP:USE1_InputTokenCount_LCtx_Global-Units",
            f"Claude Sonnet 4.6 {EDITION}",
            ("global.anthropic.claude-sonnet-4-6", INPUT, "standard", "long", "global"),
        ),
    ],
)
def test_bedrock_usage_types_are_read_in_all_three_spellings(
    usage_type: str, product: str | None, expected: tuple[str | None, ...]
) -> None:
    assert read_aws("Usage", usage_type, product) == Meter("mapped", *expected)


@pytest.mark.parametrize(
    ("usage_type", "product"),
    [
        ("USE1-MP:USE1_InputTokenCount-Units", None),
        ("USE1-MP:USE1_InputTokenCount-Units", f"Brand New Model {EDITION}"),
        ("USE1-MP:USE1_InputTokenCount_Quantum-Units", f"Claude Haiku 4.5 {EDITION}"),
        ("USE1-NovaPro-input-tokens-batch-flex", None),
        ("USE1-NovaPro-input-tokens-1h", None),
        ("USE1-NovaPro-input-tokens-surprise", None),
        ("USE1-NovaCanvas-T2I-1024-Standard", None),
        ("USE1-Claude3.9Sonnet-input-tokens", None),
        ("", None),
    ],
)
def test_bedrock_usage_types_with_one_unlisted_word_are_unmapped(usage_type: str, product: str | None) -> None:
    assert read_aws("Usage", usage_type, product) == UNMAPPED


def test_bedrock_tools_and_other_charges_meter_no_model() -> None:
    assert read_aws("Usage", "USE1-Guardrail-ContentPolicyUnitsConsumed", None) == NOT_USAGE
    assert read_aws("Tax", "USE1-NovaPro-input-tokens", None) == NOT_USAGE


@pytest.mark.parametrize(
    "name",
    ["Claude4.6Sonnet", "Claude3Haiku", "NovaMicro", "Llama3-3-70B", "TitanEmbedV2-Text", "openai.gpt-oss-20b", "Claude4.5Haiku"],
)
def test_listed_models_are_those_of_the_price_list(name: str) -> None:
    model = model_id(name)
    assert model is not None
    assert ModelCatalog().find("aws", model)[3] == "aws"
    assert ModelCatalog().find("aws", f"us.{model}")[2] == ModelCatalog().find("aws", model)[2] or not model.startswith(
        "anthropic"
    )


@given(st.text(max_size=60), st.text(max_size=40))
def test_any_text_is_read_without_a_fault(name: str, other: str) -> None:
    for meter in (read_azure("Usage", name, other), read_aws("Usage", name, other)):
        assert meter.meter_mapping in METER_MAPPINGS
        assert meter.token_class in (None, *TOKEN_CLASSES)
        assert meter.processing in (None, *PROCESSINGS)
        assert meter.deployment_scope in (None, *DEPLOYMENT_SCOPES)


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("1K", (1000, "Units")),
        ("1M", (10**6, "Units")),
        ("10K", (10_000, "Units")),
        ("1 GB", (1, "GB")),
        ("1/Hour", (1, "Hours")),
        ("100 Hours", (100, "Hours")),
        ("1 GB/Month", (1, "GB/Month")),
        ("1K tokens", (1000, "Tokens")),
        ("1M Tokens", (10**6, "Tokens")),
        ("1,000 Requests", (1000, "Requests")),
        ("1 Million Tokens", (10**6, "Tokens")),
        ("1 MB", (1, "MB")),
        ("KB", (1, "KB")),
        ("Tokens", (1, "Tokens")),
        ("0", (1, "0")),
        ("99999999999999999999 X", (1, "99999999999999999999 X")),
        ("", None),
        (None, None),
    ],
)
def test_block_sizes_are_told_from_units(text: str | None, block: tuple[int, str] | None) -> None:
    assert unit_block(text) == block


def test_blocks_are_multiplied_out_exactly_and_pairs_stay_pairs() -> None:
    cells = {
        ("0.000000000001", "1M"): (Decimal("0.000001"), "Units"),
        ("1234.567", "1K"): (Decimal(1234567), "Units"),
        ("-2", "10K"): (Decimal(-20000), "Units"),
        ("1e15", "1K"): (Decimal(10**18), "Units"),
        ("1e17", "1K"): (None, None),
        ("x", "1K"): (None, None),
        ("1", ""): (None, None),
        (None, "1K"): (None, None),
    }
    frame = pl.DataFrame([*cells], schema={"q": pl.String, "u": pl.String}, orient="row")
    assert with_consumed(frame, "q", "u").select("consumed_quantity", "consumed_unit").rows() == [*cells.values()]
