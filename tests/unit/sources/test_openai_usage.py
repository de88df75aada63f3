"""Every usage report of OpenAI becomes bucket usage in its own units: tokens, images, checks, or a native quantity."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import RECORDED, number, openai_bucket, openai_page, openai_usage, read, save
from usage_etl.events import normalise
from usage_etl.sources.openai.parse import parse
from usage_etl.sources.openai.usage import USAGE_REPORTS, UsageReport
from usage_etl.units import PRIMITIVE_UNITS

EXPECTED: dict[str, dict[str, Any]] = {
    "usage_embeddings": {
        "primitive": "ai.embed",
        "quantity": None,
        "reported_input_tokens": 81920,
        "reported_output_tokens": None,
    },
    "usage_moderations": {"primitive": "safety.moderate", "quantity": 64, "requests_count": 64},
    "usage_images": {"primitive": "ai.image", "quantity": 7, "operation_name": "image.generation", "tag_set": "size=1024x1792"},
    "usage_audio_speeches": {"native_unit": "characters", "native_quantity": 45120, "requests_count": 31},
    "usage_audio_transcriptions": {"native_unit": "seconds", "native_quantity": 5400, "model_raw": "whisper-1"},
    "usage_vector_stores": {"native_unit": "bytes", "native_quantity": 21474836480, "requests_count": 0},
    "usage_code_interpreter_sessions": {"native_unit": "code_interpreter_sessions", "native_quantity": 3, "requests_count": 0},
    "usage_file_search_calls": {"native_unit": "file_searches", "native_quantity": 18, "tag_set": "vector_store_id=vs_abc123"},
    "usage_web_search_calls": {"native_unit": "web_searches", "native_quantity": 22, "tag_set": "context_level=high"},
    "usage_decisions": {"primitive": "ai.chat", "reported_output_tokens": 40, "operation_name": "decisions"},
}


@pytest.mark.parametrize("dataset", EXPECTED)
def test_each_report_counts_in_its_own_unit(dataset: str) -> None:
    row = read(parse, RECORDED / "openai" / f"{dataset}_page.json").usage.row(0, named=True)
    assert {name: row[name] for name in EXPECTED[dataset]} == EXPECTED[dataset]
    assert (row["grain"], row["status"], row["host_raw"]) == ("bucket", "unknown", "openai")


@pytest.mark.parametrize("dataset", EXPECTED)
def test_what_is_counted_in_other_units_than_tokens_is_no_missing_usage(dataset: str) -> None:
    usage = read(parse, RECORDED / "openai" / f"{dataset}_page.json").usage
    assert normalise(usage.lazy()).collect()["is_usage_missing"].any() is False


@st.composite
def results(draw: st.DrawFn, kind: UsageReport) -> dict[str, Any]:
    """A result with every dimension and measure filled; cached and modal parts stay within their wholes."""
    counts = {name: draw(st.integers(0, 10**13)) for name in sorted(kind.measures)}
    if "output_tokens" in kind.measures:
        counts = dict.fromkeys(counts, 0) | {"input_tokens": 10**6, "output_tokens": counts["output_tokens"]}
        counts |= {"num_model_requests": 3, "input_cached_tokens": draw(st.integers(0, 10**6))}
    names = {name: draw(st.sampled_from([None, "", "a", "b,=%"])) for name in kind.dimensions if name != "batch"}
    flags = {"batch": draw(st.booleans())} if "batch" in kind.dimensions else {}
    return {"object": kind.object_name, **{name: number(str(count)) for name, count in counts.items()}, **names, **flags}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(USAGE_REPORTS))
def test_counts_of_every_report_are_conserved_and_rows_stay_apart(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: UsageReport
) -> None:
    rows = data.draw(st.lists(results(kind), min_size=1, max_size=8))
    path = save(tmp_path_factory.mktemp("pages"), openai_page(openai_bucket(*rows)))
    parsed, again = read(parse, path), read(parse, path)
    assert parsed.reasons == []
    assert parsed.usage.equals(again.usage)
    assert parsed.usage["event_id"].n_unique() == len(rows)
    assert set(parsed.usage["primitive"].cast(pl.String)) <= PRIMITIVE_UNITS.keys()
    field = kind.native[0] if kind.native else kind.quantity or "input_tokens"
    column = "native_quantity" if kind.native else "quantity" if kind.quantity else "reported_input_tokens"
    assert [Decimal(cell) for cell in parsed.usage[column]] == [Decimal(str(row[field])) for row in rows]


def test_a_prepaid_tier_counts_as_standard_and_stays_visible(tmp_path: Path) -> None:
    tiers = ["default", "auto", "scale", "flex", None]
    usage = read(parse, save(tmp_path, openai_page(openai_bucket(*(openai_usage(service_tier=tier) for tier in tiers))))).usage
    assert usage["processing"].to_list() == ["standard", "standard", "standard", "flex", "standard"]
    assert usage["tag_set"].to_list() == [None, None, "service_tier=scale", None, None]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_audio_tokens": number("601")}, "input_audio_tokens__more_than_uncached_input"),
        ({"input_image_tokens": number("601")}, "input_audio_tokens__more_than_uncached_input"),
        ({"input_cached_image_tokens": number("401")}, "cache_read_audio_tokens__more_than_cache_read"),
        ({"output_audio_tokens": number("251")}, "output_audio_tokens__more_than_output"),
        ({"input_cache_write_tokens": number("5"), "input_cache_write_12h_tokens": number("6")},
         "cache_write_tokens__less_than_its_lifetimes"),
        ({"batch": "perhaps"}, "processing__not_true_or_false"),
    ],
)  # fmt: skip
def test_parts_that_exceed_what_they_are_parts_of_are_quarantined(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_usage(**fields), openai_usage()))))
    assert parsed.reasons == [reason]
    assert parsed.usage.height == 1


def test_audio_and_image_tokens_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    sent = {
        "input_audio_tokens": "100",
        "input_image_tokens": "200",
        "input_cached_audio_tokens": "30",
        "input_cached_image_tokens": "40",
        "output_audio_tokens": "50",
        "output_image_tokens": "60",
    }
    result = openai_usage(**{name: number(text) for name, text in sent.items()})
    row = read(parse, save(tmp_path, openai_page(openai_bucket(result)))).usage.row(0, named=True)
    columns = [name.replace("input_cached", "cache_read") for name in sent]
    assert [row[name] for name in columns] == [100, 200, 30, 40, 50, 60]
