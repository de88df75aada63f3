"""What Portkey's log records become: floats that are counts, metadata in three shapes, a cost whose unit is a setting."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.sources.source_files import context_of, lines, reasons_of, row_of, staged, staged_recorded

KIND = "portkey"
CENTS = {"cost_unit": "cents"}


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": "p-1",
        "created_at": "2026-11-02T10:30:45.123Z",
        "is_success": 1.0,
        "ai_org": "openai",
        "ai_model": "gpt-4",
        "req_units": 150.0,
        "res_units": 200.0,
        "total_units": 350.0,
        "cost": 1.05,
        "cost_currency": "USD",
        "request_url": "https://api.openai.com/v1/chat/completions",
        "response_status_code": 200.0,
        "response_time": 1250.0,
        "cache_status": "MISS",
        "virtual_key": "vk-1",
        "metadata": {"key": ["team", "_user"], "value": ["core", "ana"]},
        "request": {"body": "the secret plan"},
    } | changes


def test_the_recorded_export_becomes_requests() -> None:
    found = staged_recorded(KIND, "export.jsonl", **CENTS, attributes={"user_id": "_user", "keep": ["_environment"]})
    assert found.tokens() == (450, 400)
    assert [row["team_id"] for row in found.rows] == ["support", "sales", None]
    assert [row["user_id"] for row in found.rows] == ["john.doe", "ana", None]
    assert [row["status"] for row in found.rows] == ["success", "blocked", "success"]
    assert [row["is_cache_hit"] for row in found.rows] == [False, False, True]
    assert found.rows[0]["tag_set"] == "_environment=production"
    assert found.refused == {4: "metadata__pairs_do_not_match"}


@pytest.mark.parametrize(("unit", "dollars"), [("cents", 0.0105), ("usd", 1.05)])
def test_the_unit_of_the_cost_is_what_the_settings_say(unit: str, dollars: float) -> None:
    assert row_of(KIND, record(), cost_unit=unit)["source_cost_usd"] == pytest.approx(dollars, abs=1e-15)


@pytest.mark.parametrize("settings", [{}, {"cost_unit": "dollars"}, {"cost_unit": None}])
def test_the_unit_of_the_cost_has_no_default(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="cost_unit"):
        context_of(KIND, **settings)


def test_a_cost_in_another_currency_is_no_estimate_in_dollars() -> None:
    assert row_of(KIND, record(cost_currency="EUR"), **CENTS)["source_cost_usd"] is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"metadata": {"key": ["_user", "team"], "value": ["ana", "core"]}},
        {"metadata": {"_user": "ana", "team": "core"}},
        {"metadata": None, "metadata.key": ["team", "_user"], "metadata.value": ["core", "ana"]},
        {"metadata": {"key": ["team", "_user", "team"], "value": ["old", "ana", "core"]}},
    ],
)
def test_metadata_is_read_in_every_shape_and_the_last_value_of_a_key_counts(metadata: dict[str, Any]) -> None:
    row = row_of(KIND, record() | metadata, **CENTS)
    assert (row["user_id"], row["team_id"]) == ("ana", "core")


def test_shapes_of_metadata_may_mix_in_a_file() -> None:
    found = staged(KIND, lines(record(), record(id="b", metadata={"team": "x"}), record(id="c", metadata=None)), **CENTS)
    assert [row["team_id"] for row in found.rows] == ["core", "x", None]


def test_keys_that_are_portkeys_own_cannot_be_named() -> None:
    with pytest.raises(ValidationError, match="key cannot be read"):
        context_of(KIND, **CENTS, attributes={"team_id": "key"})


def test_a_key_in_clear_is_hashed() -> None:
    row = row_of(KIND, record(virtual_key="sk-live-123", api_key_id=None), **CENTS)
    assert len(row["api_key_id"]) == 64
    assert row["api_key_id"] != row_of(KIND, record(virtual_key="sk-live-124"), **CENTS)["api_key_id"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"response_status_code": None, "is_success": 1.0}, "success"),
        ({"response_status_code": None, "is_success": "0"}, "error"),
        ({"response_status_code": 446}, "blocked"),
        ({"response_status_code": 246.0}, "success"),
        ({"response_status_code": None, "is_success": None}, "unknown"),
    ],
)
def test_the_code_and_else_the_flag_say_what_happened(changes: dict[str, Any], status: str) -> None:
    assert row_of(KIND, record(**changes), **CENTS)["status"] == status


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"id": None}, "id__missing"),
        ({"created_at": "yesterday"}, "created_at__not_a_time"),
        ({"req_units": 150.5}, "req_units__not_a_count"),
        ({"req_units": -150.0}, "req_units__out_of_range"),
        ({"cost": "1,05"}, "cost__not_a_number"),
        ({"metadata": {"key": ["a", "b"], "value": ["c"]}}, "metadata__pairs_do_not_match"),
        ({"metadata": {"key": ["a", "b"], "value": [None, "c"]}}, "metadata__pairs_do_not_match"),
        ({"metadata": {"key": [["a"]], "value": ["b"]}}, "metadata.key__not_a_list"),
    ],
)
def test_a_bad_record_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, record(id="bad") | changes, record(), **CENTS) == reasons
