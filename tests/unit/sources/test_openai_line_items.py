"""The rule that reads OpenAI line items knows model usage and nothing else."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sources.report_pages import number, openai_bucket, openai_cost, openai_page, read, save
from usage_etl.sources.openai.line_items import UNKNOWN, LineItem, read_line_item
from usage_etl.sources.openai.parse import parse
from usage_etl.units import TOKEN_CLASSES

KNOWN = {
    "gpt-5.2, input": ("gpt-5.2", "input_uncached_tokens", "standard"),
    "gpt-5.2, cached input": ("gpt-5.2", "cache_read_tokens", "standard"),
    "gpt-5.2, output": ("gpt-5.2", "output_tokens", "standard"),
    "gpt-5.5-2026-04-23, cache writes": ("gpt-5.5-2026-04-23", "cache_write_5m_tokens", "standard"),
    "text-embedding-3-small, input": ("text-embedding-3-small", "input_uncached_tokens", "standard"),
    "priority | gpt-5.6-sol, output, long context": ("gpt-5.6-sol", "output_tokens", "priority"),
    "batch | gpt-5.2, input": ("gpt-5.2", "input_uncached_tokens", "batch"),
    "flex | gpt-5.2, cached input": ("gpt-5.2", "cache_read_tokens", "flex"),
    "gpt-audio-mini-2025-12-15 audio, input": ("gpt-audio-mini-2025-12-15", "input_uncached_tokens", "standard"),
    "gpt-image-2.5-sunburst text, cached input": ("gpt-image-2.5-sunburst", "cache_read_tokens", "standard"),
    "gpt-6-astra, input_tokens": ("gpt-6-astra", "input_uncached_tokens", "standard"),
    "gpt-6-astra, cached_input_tokens": ("gpt-6-astra", "cache_read_tokens", "standard"),
    "ft:gpt-4o-2024-08-06:org::id, output": ("ft:gpt-4o-2024-08-06:org::id", "output_tokens", "standard"),
}
OTHERS = (
    None,
    "",
    "whisper-1, audio",
    "gpt-5.2",
    "gpt-5.2,",
    ", input",
    "gpt-5.2, input, new qualifier",
    "urgent | gpt-5.2, input",
    "gpt-5.2 video, input",
    "Promotional debit",
)
TOOLS = ("web search tool calls", "assistants api | file search", "Vector storage", "Promotional credit", " Code interpreter ")
OBSERVED = (
    "gpt-image-1 image, output",
    "gpt-image-1 image, input",
    "gpt-image-1 image, cached input",
    "gpt-image-1 text, input",
    "gpt-image-1 text, cached input",
    "gpt-image-2-2026-04-21 image, output",
    "gpt-image-2-2026-04-21 text, output",
    "gpt-5.6-terra, cache writes",
    "gpt-5.4-2026-03-05, cached input",
    "gpt-4o-2024-08-06, output",
    "gpt-5-mini-2025-08-07, input",
    "gpt-5.4-nano-2026-03-17, output",
    "gpt-5-nano, input_tokens",
    "whisper",
)
"""Line items of real organizations, as public projects quote them."""


@pytest.mark.parametrize(("text", "expected"), KNOWN.items())
def test_a_line_of_model_usage_is_read(text: str, expected: tuple[str, str, str]) -> None:
    line = read_line_item(text)
    assert (line.model_raw, line.token_class, line.processing) == expected
    assert line.meter is not None
    assert line.meter.rpartition(" ")[2] in text
    assert line.meter_mapping == "mapped"


@pytest.mark.parametrize("text", OTHERS)
def test_any_other_line_names_nothing(text: str | None) -> None:
    assert read_line_item(text) == UNKNOWN


@pytest.mark.parametrize("text", TOOLS)
def test_what_meters_no_model_is_known_as_such(text: str) -> None:
    line = read_line_item(text)
    assert (line.model_raw, line.token_class, line.meter_mapping) == (None, None, "not_usage")


@pytest.mark.parametrize("text", OBSERVED)
def test_observed_line_items_are_mapped(text: str) -> None:
    line = read_line_item(text)
    assert line.meter_mapping == "mapped"
    assert line.model_raw is not None
    assert (line.token_class is None) == (text == "whisper")


def test_the_context_band_is_named() -> None:
    assert read_line_item("priority | gpt-5.6-sol, output, long context").context_band == "long context"
    assert read_line_item("gpt-5.6-sol, output").context_band is None


@given(st.text(max_size=40))
def test_a_line_is_read_whole_or_not_at_all(text: str) -> None:
    line = read_line_item(text)
    assert (
        line == UNKNOWN or line.meter_mapping == "not_usage" or line.model_raw == "whisper" or line.token_class in TOKEN_CLASSES
    )
    assert (line == UNKNOWN) == (line == LineItem())


@pytest.mark.parametrize(
    ("result", "mapping"),
    [
        (openai_cost("1", "gpt-5.2, output"), "mapped"),
        (openai_cost("-1", "gpt-5.2, output"), "mapped"),
        (openai_cost("1", "Goodwill"), "unmapped"),
        (openai_cost("-1", "Goodwill"), "not_usage"),
        (openai_cost("1", "Object shelf", quantity=number("3"), quantity_unit="gibibyte_hours"), "not_usage"),
        (openai_cost("1", "dall-e-9, images", quantity=number("3"), quantity_unit="images"), "unmapped"),
        (openai_cost("1", None), "unmapped"),
    ],
)
def test_every_line_says_whether_its_meter_is_known(tmp_path: Path, result: dict[str, object], mapping: str) -> None:
    charges = read(parse, save(tmp_path, openai_page(openai_bucket(result)))).charges
    assert charges["meter_mapping"].to_list() == [mapping]


def test_meters_that_nobody_knows_are_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["gpt-5.2, output", "Goodwill", "gpt-9, dreams", "Goodwill"]
    with caplog.at_level(logging.WARNING):
        read(parse, save(tmp_path, openai_page(openai_bucket(*(openai_cost("1", line) for line in lines)))))
    assert "unmapped_meters_count=2 unmapped_meters=Goodwill; gpt-9, dreams" in caplog.text
