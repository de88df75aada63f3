"""A provider's usage object becomes the right disjoint token classes, whatever its shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ArrayMatch, Provider, Usage, UsageExtractor
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.staged_rows import staged
from usage_etl.events import normalise
from usage_etl.sources.rows.usage_bodies import TOKEN_COLUMNS, find_usage, price_class, staged_tokens
from usage_etl.units import INPUT_TOKEN_CLASSES, MODAL_TOKENS, TOKEN_CLASSES

CASES = json.loads((Path(__file__).parents[2] / "recorded" / "usage_bodies" / "usages.json").read_text(encoding="utf-8"))
EXTRACTORS = {
    f"{provider.id}/{extractor.api_flavor}": (provider, extractor)
    for provider in get_snapshot().providers
    for extractor in provider.extractors or ()
}


def classes(answer: dict[str, Any], host: str) -> dict[str, Any]:
    """The classes that the normaliser makes of an answer's usage object."""
    usage = find_usage(answer)
    assert usage is not None
    columns = staged_tokens(usage, host=host)
    assert set(columns) == set(TOKEN_COLUMNS)
    return normalise(staged({"reasoning_tokens": None, **columns}).lazy()).collect().row(0, named=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["shape"])
def test_every_recorded_shape_has_its_classes(case: dict[str, Any]) -> None:
    row = classes(case["answer"], case["host"])
    names = (*TOKEN_CLASSES, "reasoning_tokens", *MODAL_TOKENS)
    assert {name: row[name] for name in names} == {name: case["classes"].get(name, 0) for name in names}
    assert row["native_unit"] == case["classes"].get("native_unit")
    quantity = case["classes"].get("native_quantity")
    assert row["native_quantity"] == (None if quantity is None else Decimal(quantity))


@pytest.mark.parametrize(
    "case", [case for case in CASES if "iterations" not in str(case["answer"])], ids=lambda case: case["shape"]
)
def test_a_recorded_total_is_the_sum_of_its_classes(case: dict[str, Any]) -> None:
    """Where the provider states a total, our classes add up to it; two providers leave parts out of theirs."""
    usage = find_usage(case["answer"]) or {}
    row = classes(case["answer"], case["host"])
    total = staged_tokens(usage, host=case["host"])["reported_total_tokens"]
    if total is not None and case["host"] != "perplexity":
        assert sum(row[name] for name in TOKEN_CLASSES) == total


def test_the_recorded_shapes_differ_and_the_oracle_knows_many_more() -> None:
    assert len({case["shape"] for case in CASES}) == len(CASES)
    assert len(EXTRACTORS) > 80


def shape_of(name: str) -> str:
    _, extractor = EXTRACTORS[name]
    return f"{extractor.root} {[(mapping.path, mapping.dest) for mapping in extractor.mappings]}"


@pytest.mark.parametrize("name", sorted({shape_of(name): name for name in EXTRACTORS}.values()))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_answers_of_every_documented_field_match_the_oracle(name: str, data: st.DataObject) -> None:
    """Any subset of the fields that genai-prices reads, one provider for each of its shapes: the same totals and parts."""
    provider, extractor = EXTRACTORS[name]
    answer = drawn_answer(data, provider, extractor)
    _, expected = provider.extract_usage(answer, api_flavor=extractor.api_flavor)
    row = classes(answer, provider.id)
    reported = {name: expected.reported_value(name) for name in vars(expected)}
    assert sum(row[name] for name in INPUT_TOKEN_CLASSES) == reported.get("input_tokens", 0)
    assert row["cache_read_tokens"] == reported.get("cache_read_tokens", 0)
    assert row["cache_write_5m_tokens"] + row["cache_write_1h_tokens"] == reported.get("cache_write_tokens", 0)
    assert row["output_tokens"] == reported.get("output_tokens", 0)
    assert row["reasoning_tokens"] == reported.get("output_reasoning_tokens", 0)
    for kind in ("audio", "image"):
        assert row[f"input_{kind}_tokens"] + row[f"cache_read_{kind}_tokens"] == reported.get(f"input_{kind}_tokens", 0)
        assert row[f"cache_read_{kind}_tokens"] == reported.get(f"cache_{kind}_read_tokens", 0)
        assert row[f"output_{kind}_tokens"] == reported.get(f"output_{kind}_tokens", 0)
    if searches := reported.get("web_searches"):
        assert (row["native_unit"], row["native_quantity"]) == ("web_searches", searches)


def drawn_answer(data: st.DataObject, provider: Provider, extractor: UsageExtractor) -> dict[str, Any]:
    """An answer with the required and some other fields: totals are large, parts of them small, so that it is possible."""
    usage: dict[str, Any] = {}
    for path, is_required in fields(extractor):
        if is_required or data.draw(st.booleans()):
            put(usage, path, data.draw(sizes(path), label=str(path)))
    _complete(usage)
    root = [extractor.root] if isinstance(extractor.root, str) else list(extractor.root)
    answer: Any = usage
    for step in reversed(root):
        answer = {step: answer}
    assert isinstance(answer, dict)
    return answer


def fields(extractor: UsageExtractor) -> Iterator[tuple[tuple[Any, ...], bool]]:
    seen: dict[str, tuple[tuple[Any, ...], bool]] = {}
    for mapping in extractor.mappings:
        path = (mapping.path,) if isinstance(mapping.path, str) else tuple(mapping.path)
        is_required = mapping.required or path[-1] in {
            "promptTokenCount",
            "input_tokens",
            "output_tokens",
            "candidatesTokenCount",
        }
        seen.setdefault(str(path), (path, is_required))
    yield from seen.values()


def sizes(path: tuple[Any, ...]) -> st.SearchStrategy[int]:
    """Whole counts above their parts: cached parts below what was sent, and what was sent below the whole."""
    text = str(path).lower()
    if path in (("tokens", "input_tokens"), ("tokens", "output_tokens")):
        return st.integers(100_000, 10**9)
    if len(path) == 1 and "cach" not in text and "reasoning" not in text:
        return st.integers(100_000, 10**9)
    if "cache" in text and len(path) > 1 and ("details" in text or "modality" in text) and "cached_tokens'" not in text:
        return st.integers(0, 50)
    return st.integers(500, 900)


def put(usage: dict[str, Any], path: tuple[Any, ...], count: int) -> None:
    place: Any = usage
    for step, following in zip(path, (*path[1:], None), strict=True):
        if isinstance(step, ArrayMatch):
            place.append({step.field: step.match.equals})  # type: ignore[union-attr]
            place = place[-1]
        elif following is None:
            place[step] = count
        else:
            place = place.setdefault(step, [] if isinstance(following, ArrayMatch) else {})


def _complete(usage: dict[str, Any]) -> None:
    """Counts that providers state twice are the same: writes by lifetime, prompts of tools by kind."""
    writes = usage.get("cache_creation")
    if isinstance(writes, dict):
        usage["cache_creation_input_tokens"] = sum(writes.values())
    by_ttl = usage.get("cacheDetails")
    if isinstance(by_ttl, list):
        usage["cacheWriteInputTokens"] = sum(item["inputTokens"] for item in by_ttl)
    if isinstance(usage.get("cacheTokensDetails"), list):
        usage["cachedContentTokenCount"] = sum(item["tokenCount"] for item in usage["cacheTokensDetails"])
        for item in usage["cacheTokensDetails"]:
            known = [one for one in usage.setdefault("promptTokensDetails", []) if one["modality"] == item["modality"]]
            if not known:
                usage["promptTokensDetails"].append({"modality": item["modality"], "tokenCount": item["tokenCount"] + 3})
    for details in ("input_token_details", "input_tokens_details"):
        of_input = usage.get(details)
        if isinstance(of_input, dict) and isinstance(of_input.get("cached_tokens_details"), dict):
            of_input["cached_tokens"] = sum(of_input["cached_tokens_details"].values())
            for name, count in of_input["cached_tokens_details"].items():
                of_input.setdefault(name, count + 3)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
        {"prompt_tokens": "12", "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"input_tokens": 5, "output_tokens": 1, "iterations": ["x"]},
        {"cost": 3},
        {},
    ],
)
def test_what_is_no_count_is_refused(usage: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"token count|shape|iterations"):
        staged_tokens(usage)


def test_counts_written_as_floats_are_whole() -> None:
    assert staged_tokens({"prompt_tokens": 12.0, "completion_tokens": Decimal("3.0")})["reported_input_tokens"] == 12


def test_an_answer_without_usage_has_none() -> None:
    assert find_usage({"id": "x", "usage": None}) is None


@pytest.mark.parametrize(
    ("answer", "processing", "region"),
    [
        ({"usage": {"service_tier": "standard", "input_tokens": 1}}, "standard", None),
        ({"usage": {"service_tier": "batch", "input_tokens": 1}}, "batch", None),
        ({"usage": {"speed": "fast", "service_tier": "standard", "inference_geo": "us", "input_tokens": 1}}, "fast", "us"),
        ({"usage": {"speed": "standard", "inference_geo": "not_available", "input_tokens": 1}}, "standard", None),
        ({"service_tier": "default", "usage": {"prompt_tokens": 1}}, "standard", None),
        ({"service_tier": "priority", "usage": {"prompt_tokens": 1}}, "priority", None),
        ({"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}}, "flex", None),
        ({"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND"}}, "standard", None),
        ({"usage": {"prompt_tokens": 1}}, None, None),
    ],
)
def test_price_class_and_region_are_read_where_they_are_named(
    answer: dict[str, Any], processing: str | None, region: str | None
) -> None:
    assert price_class(answer) == {"processing": processing, "region": region}


def test_usage_of_the_oracle_is_what_we_think() -> None:
    anthropic = next(provider for provider in get_snapshot().providers if provider.id == "anthropic")
    _, usage = anthropic.extract_usage({"usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3}})
    assert usage == Usage(input_tokens=3, cache_read_tokens=2, output_tokens=3)
