"""OpenRouter's activity becomes usage and charges of a day; its export of generations becomes calls."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total, write_csv
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.openrouter.activity import FIELDS
from usage_etl.sources.reading.exact_json import JsonNumber, dumps
from usage_etl.sources.reading.pages import pull_line


def number(text: str) -> JsonNumber:
    return JsonNumber(text)


def activity(**changes: Any) -> dict[str, Any]:
    return {
        "date": "2026-10-05",
        "model": "openai/gpt-5.2",
        "model_permaslug": "openai/gpt-5.2-2025-12-11",
        "endpoint_id": "550e8400-e29b-41d4-a716-446655440000",
        "provider_name": "OpenAI",
        "usage": number("0.015000000000000001"),
        "byok_usage_inference": number("0.012"),
        "requests": number("5"),
        "prompt_tokens": number("50"),
        "completion_tokens": number("125"),
        "reasoning_tokens": number("25"),
    } | changes


def answer(folder: Path, *rows: Any, pulled: str | None = None, **source: Any) -> Outcome:
    path = folder / "activity.json"
    first = pull_line({"dataset": "activity", "day": pulled}) + b"\n" if pulled else b""
    path.write_bytes(first + dumps({"data": list(rows)}).encode() + b"\n")
    return parsed("openrouter", path, **source)


def test_a_row_becomes_usage_and_a_charge(tmp_path: Path) -> None:
    outcome = answer(tmp_path, activity())
    event, charge = outcome.event, outcome.charge
    assert (event["grain"], event["requests_count"], event["source_role"]) == ("bucket", 5, "reconciliation")
    assert (event["reported_input_tokens"], event["reported_output_tokens"], event["reasoning_tokens"]) == (50, 125, 25)
    assert (event["model_raw"], event["deployment"], event["host_raw"]) == (
        "openai/gpt-5.2-2025-12-11",
        "openai/gpt-5.2",
        "openrouter",
    )
    assert charge["billed_cost"] == Decimal("0.015000000000000001")
    assert (charge["billing_currency"], charge["provider_name"], charge["host_provider_name"]) == ("USD", "openrouter", "OpenAI")
    assert (charge["consumed_quantity"], charge["consumed_unit"]) == (Decimal(5), "Requests")
    assert event["bucket_key"] == charge["bucket_key"] == "org-1/activity/2026-10-05"
    assert {(bucket.table_name, bucket.day) for bucket in outcome.covered} == {
        ("staged_usage", dt.date(2026, 10, 5)),
        ("staged_charges", dt.date(2026, 10, 5)),
    }


def test_what_providers_bill_for_own_keys_is_noted_and_not_billed(tmp_path: Path) -> None:
    outcome = answer(tmp_path, activity(usage=number("0"), byok_usage_inference=number("1.20")))
    assert outcome.charge["billed_cost"] == 0
    assert json.loads(outcome.charge["tags"]) == {"byok_usage_inference_usd": "1.2"}
    assert outcome.event["source_cost_usd"] == 1.2
    assert answer(tmp_path, activity(byok_usage_inference=None)).charge["tags"] is None


def test_reasoning_beyond_the_completion_stands_beside_it(tmp_path: Path) -> None:
    assert answer(tmp_path, activity()).event["token_convention"] == "cache_in_input"
    beside = answer(tmp_path, activity(reasoning_tokens=number("126"))).event
    assert beside["token_convention"] == "cache_in_input_reasoning_beside_output"
    assert answer(tmp_path, activity(reasoning_tokens=None)).event["reasoning_tokens"] is None


def test_rows_alike_in_every_dimension_are_all_kept(tmp_path: Path) -> None:
    outcome = answer(tmp_path, activity(), activity(usage=number("1")), activity(provider_name=None))
    assert outcome.usage["event_id"].n_unique() == 3
    assert total(outcome.charges["billed_cost"]) == total(map(Decimal, ("0.030000000000000002", "1")))


def test_an_empty_answer_answers_for_the_day_that_was_asked(tmp_path: Path) -> None:
    assert [bucket.day for bucket in answer(tmp_path, pulled="2026-10-04").covered] == [dt.date(2026, 10, 4)] * 2
    assert answer(tmp_path).covered == []


def test_only_one_of_activity_and_generations_is_counted(tmp_path: Path) -> None:
    compared = answer(tmp_path, activity(), role="usage", counted="generations")
    assert (compared.charges.height, compared.event["source_role"]) == (0, "reconciliation")
    assert answer(tmp_path, activity(), role="usage").event["source_role"] == "usage"


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"usage": "$0.10"}, "usage__not_a_decimal"),
        ({"usage": None}, "usage__missing"),
        ({"usage": number("1e12")}, "usage__out_of_range"),
        ({"usage": number("NaN")}, "usage__not_a_decimal"),
        ({"date": "2026-13-05"}, "date__not_a_day"),
        ({"date": "2026-10-05 07:00:00"}, "date__not_a_day"),
        ({"date": "2027-10-05"}, "date__in_the_future"),
        ({"requests": number("-1")}, "requests__negative"),
        ({"requests": number("1.5")}, "requests__not_whole"),
        ({"prompt_tokens": None}, "prompt_tokens__missing"),
        ({"model": None, "model_permaslug": " "}, "model_permaslug__missing"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_the_rest_is_used(tmp_path: Path, changes: dict[str, Any], reasons: str) -> None:
    outcome = answer(tmp_path, activity(**changes), activity(), "text")
    assert outcome.refused == {1: reasons, 3: "row__not_an_object"}
    assert (outcome.charges.height, outcome.usage.height) == (1, 1)


@pytest.mark.parametrize("date", ["2026-10-05 00:00:00", "2026-10-05T00:00:00Z", "2026-10-05T00:00:00.000Z"])
def test_a_day_may_be_written_as_its_midnight(tmp_path: Path, date: str) -> None:
    assert answer(tmp_path, activity(date=date)).event["usage_date"] == dt.date(2026, 10, 5)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"error": {"code": 401, "message": "No auth"}}, "error answer"),
        ({"data": {}}, "no list `data`"),
        ({"data": [{"results": []}]}, "no list `data`"),
        ({"object": "page"}, "no list `data`"),
    ],
)
def test_another_answer_is_refused_whole(tmp_path: Path, document: Any, message: str) -> None:
    path = tmp_path / "activity.json"
    path.write_bytes(dumps(document).encode())
    with pytest.raises(UnreadableDeliveryError, match=message):
        parsed("openrouter", path)


def test_one_day_in_two_answers_of_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "activity.json"
    page = dumps({"data": [activity()]})
    path.write_text(f"{page}\n{page}\n")
    with pytest.raises(UnreadableDeliveryError, match="two answers"):
        parsed("openrouter", path)


COUNTS = st.integers(0, 10**12)
AMOUNTS = st.decimals(-(10**9), 10**9, places=18).map(lambda amount: f"{amount:f}")
ROWS = st.builds(
    lambda usage, byok, counts, slug: activity(
        usage=number(usage),
        byok_usage_inference=number(str(byok)),
        model_permaslug=slug,
        **dict(
            zip(
                ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens"), map(number, map(str, counts)), strict=True
            )
        ),
    ),
    AMOUNTS,
    st.integers(0, 100),
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    st.sampled_from(["a/b", "c/d-1"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, max_size=6))
def test_amounts_and_counts_are_conserved(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    assert all(row.keys() == FIELDS for row in rows)
    outcome = answer(tmp_path, *rows)
    assert outcome.refused == {}
    assert total(outcome.charges["billed_cost"]) == total(Decimal(row["usage"]) for row in rows)
    assert outcome.usage["requests_count"].sum() == sum(int(row["requests"]) for row in rows)
    assert outcome.usage["event_id"].n_unique() == len(rows)
    again = answer(tmp_path, *rows)
    assert again.usage.equals(outcome.usage)
    assert again.charges.equals(outcome.charges)


GENERATION: dict[str, str | None] = {
    "generation_id": "gen-1782618417-a",
    "created_at": "2026-10-05 03:46:57.713",
    "cost_total": "0.0123",
    "cost_web_search": "0",
    "cost_cache": "-0.001",
    "cost_file_processing": "0",
    "byok_usage_inference": "0",
    "tokens_prompt": "10389",
    "tokens_completion": "137",
    "tokens_reasoning": "40",
    "tokens_cached": "9000",
    "model_permaslug": "openai/gpt-oss-120b",
    "provider_name": "DeepInfra",
    "variant": "standard",
    "cancelled": "false",
    "streamed": "true",
    "user": "",
    "finish_reason_raw": "stop",
    "finish_reason_normalized": "stop",
    "generation_time_ms": "1234",
    "time_to_first_token_ms": "321",
    "api_key_disabled": "false",
    "api_key_name": "search",
    "app_name": "Search",
}


def generations(folder: Path, *rows: dict[str, str | None], **source: Any) -> Outcome:
    return parsed("openrouter", write_csv(folder / "generations.csv", rows), **source)


def test_a_generation_is_a_call_and_a_charge_where_generations_are_counted(tmp_path: Path) -> None:
    outcome = generations(tmp_path, GENERATION, counted="generations", role="usage")
    event, charge = outcome.event, outcome.charge
    assert (event["grain"], event["event_id"], event["status"], event["source_role"]) == (
        "request",
        "gen-1782618417-a",
        "success",
        "usage",
    )
    assert (event["reported_input_tokens"], event["cache_read_tokens"], event["reasoning_tokens"]) == (10389, 9000, 40)
    assert (event["latency_ms"], event["ttft_ms"], event["feature_id"]) == (1234, 321, "Search")
    assert str(event["started_at"]) == "2026-10-05 03:46:57.713000+00:00"
    assert (charge["billed_cost"], charge["bucket_key"]) == (Decimal("0.0123"), "org-1/generations/2026-10-05T03:45Z")
    assert [bucket.bucket_key for bucket in outcome.covered] == [charge["bucket_key"]]


def test_generations_are_only_compared_where_activity_is_counted(tmp_path: Path) -> None:
    outcome = generations(tmp_path, GENERATION, role="usage")
    assert (outcome.event["source_role"], outcome.charges.height) == ("reconciliation", 0)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"cost_total": "€0.10"}, "cost_total__not_a_decimal"),
        ({"cost_total": ""}, "cost_total__missing"),
        ({"generation_id": ""}, "generation_id__missing"),
        ({"created_at": "later"}, "created_at__not_a_time"),
        ({"tokens_prompt": "-1", "tokens_cached": ""}, "tokens_prompt__out_of_range"),
        ({"tokens_cached": "99999"}, "tokens_cached__exceed_tokens_prompt"),
    ],
)
def test_a_bad_generation_is_refused_by_name(tmp_path: Path, changes: dict[str, str], reasons: str) -> None:
    outcome = generations(tmp_path, {**GENERATION, **changes}, {**GENERATION, "generation_id": "b", "cancelled": "True"})
    assert outcome.refused == {1: reasons}
    assert outcome.usage["status"].to_list() == ["cancelled"]


@pytest.mark.parametrize("name", ["activity_answer.json", "activity_pull.jsonl", "generations.csv"])
def test_the_recorded_examples_are_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((RECORDED / "openrouter" / name).read_bytes())
    outcome = parsed("openrouter", path)
    assert outcome.refused == {}
    assert outcome.rows_read == outcome.usage.height == 3
