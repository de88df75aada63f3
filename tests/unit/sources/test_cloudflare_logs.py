"""What Cloudflare AI Gateway's logs become: answers of the API, and Logpush lines, which have no id."""

import json
from typing import Any

import pytest

from tests.unit.sources.source_files import lines, reasons_of, row_of, staged, staged_recorded

KIND = "cloudflare_ai_gateway"


def logged(**changes: Any) -> dict[str, Any]:
    return {
        "id": "01J-1",
        "created_at": "2026-11-02T10:30:45.123Z",
        "cached": False,
        "cost": 0.00042,
        "duration": 1234,
        "model": "gpt-5.2",
        "path": "chat/completions",
        "provider": "openai",
        "status_code": 200,
        "success": True,
        "tokens_in": 120,
        "tokens_out": 30,
        "metadata": '{"team":"core","user":"ana"}',
        "request_head": "the secret plan",
    } | changes


def pushed(**changes: Any) -> dict[str, Any]:
    return {
        "Cached": False,
        "Endpoint": "chat/completions",
        "Gateway": "prod",
        "Metadata": {"team": "core", "user": "ana"},
        "Metrics": {"cost": 0.0042, "durationMs": 1234},
        "Model": "gpt-5.2",
        "Provider": "openai",
        "RateLimited": False,
        "StatusCode": 200,
        "Timestamp": 1793615445123456789,
    } | changes


def test_the_recorded_page_becomes_requests() -> None:
    found = staged_recorded(KIND, "logs_page.json")
    assert found.tokens() == (240, 30)
    assert [row["status"] for row in found.rows] == ["success", "error", "success"]
    assert [row["primitive"] for row in found.rows] == ["ai.chat", "ai.chat", "ai.embed"]
    assert [row["team_id"] for row in found.rows] == ["core", None, None]


def test_equal_recorded_logpush_lines_are_two_requests_and_the_same_two_in_another_file() -> None:
    found = staged_recorded(KIND, "logpush.jsonl")
    assert found.usage["event_id"].n_unique() == 3
    assert found.rows[0]["started_at"].isoformat() == "2026-11-02T10:30:45.123457+00:00"
    assert [row["status"] for row in found.rows] == ["success", "success", "blocked"]
    again = staged(KIND, lines(pushed(), pushed()))
    assert again.usage["event_id"].to_list() == staged(KIND, lines(pushed(), pushed())).usage["event_id"].to_list()


@pytest.mark.parametrize("form", ["page", "pages", "printed", "array", "lines"])
def test_every_form_gives_the_same_rows(form: str) -> None:
    records = [logged(), logged(id="01J-2")]
    content = {
        "page": json.dumps({"success": True, "result": records}),
        "pages": "".join(json.dumps({"result": [record]}) + "\n" for record in records),
        "printed": json.dumps({"success": True, "errors": [], "result": records}, indent=2),
        "array": json.dumps(records),
        "lines": lines(*records),
    }[form]
    assert staged(KIND, content).usage.equals(staged(KIND, lines(*records)).usage)


@pytest.mark.parametrize("metadata", ['{"user":"ana","team":7}', {"user": "ana", "team": 7}])
def test_metadata_is_text_or_an_object(metadata: Any) -> None:
    row = row_of(KIND, logged(metadata=metadata))
    assert (row["user_id"], row["team_id"]) == ("ana", "7")


@pytest.mark.parametrize("metadata", ["", None, "None", {}])
def test_metadata_may_be_nothing(metadata: Any) -> None:
    assert row_of(KIND, logged(metadata=metadata))["user_id"] is None


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [(1793615445123000000, "ns"), (1793615445123, "ms"), (1793615445.123, "s"), ("2026-11-02T10:30:45.123Z", "ns")],
)
def test_the_unit_of_a_timestamp_is_never_guessed(timestamp: Any, unit: str) -> None:
    row = row_of(KIND, pushed(Timestamp=timestamp), timestamp_unit=unit)
    assert row["started_at"].isoformat(timespec="milliseconds") == "2026-11-02T10:30:45.123+00:00"


def test_a_timestamp_in_another_unit_than_set_is_refused() -> None:
    found = staged(KIND, lines(pushed()), timestamp_unit="s")
    assert "timestamp__not_a_time" in found.refused[1]


def test_metrics_may_hold_tokens() -> None:
    row = row_of(KIND, pushed(Metrics={"cost": 1, "durationMs": 5, "tokensIn": 7, "tokensOut": 8}))
    assert (row["reported_input_tokens"], row["reported_output_tokens"], row["latency_ms"]) == (7, 8, 5)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"id": ""}, "id__missing"),
        ({"created_at": "1970-01-01T00:00:00Z"}, "created_at__too_early"),
        ({"tokens_in": "many"}, "tokens_in__not_a_count"),
        ({"metadata": "{broken"}, "metadata__not_json"),
        ({"metadata": "[1]"}, "metadata__not_an_object"),
    ],
)
def test_a_bad_record_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, logged(id="bad") | changes, logged()) == reasons


def test_no_content_is_kept() -> None:
    assert "secret" not in staged(KIND, lines(logged())).usage.write_json()
