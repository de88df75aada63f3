"""A mapping that cannot work is an error when the settings are loaded, named, with all faults at once."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.sources.source_files import context_of
from usage_etl.sources.generic.settings import place_of

KIND = "generic"
GOOD: dict[str, Any] = {"columns": {"started_at": "ts"}, "constants": {"primitive": "email.send"}}
BILL: dict[str, Any] = {
    "rows": "charges",
    "grain": "bucket",
    "period": "month",
    "columns": {"period_start": "m", "amount": "a"},
    "constants": {"currency": "EUR", "provider_name": "P", "service_name": "S"},
}


def faults_of(settings: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        context_of(KIND, **settings)
    return str(error.value)


@pytest.mark.parametrize("settings", [GOOD, BILL])
def test_a_small_mapping_is_enough(settings: dict[str, Any]) -> None:
    context_of(KIND, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"started_at": "ts", "usr": "u"}}, "columns: there is no field 'usr'"),
        ({"columns": {"started_at": "ts", "user": "u"}}, "did you mean user_id"),
        ({"constants": {"primitive": "email.send", "reported_input_tokens": 1}}, "did you mean input_tokens"),
        ({"values": {"states": {"a": "success"}}}, "values: there is no field 'states'"),
        ({"values": {"status": {"a": "success"}}}, "values: status has no column"),
        ({"constants": {"primitive": "email.sent"}}, "primitive: 'email.sent' is none of ai.chat"),
        ({"constants": {}}, "primitive has neither column nor constant"),
        ({"columns": {"event_id": "id"}}, "started_at has no column"),
        ({"columns": {}}, "at least 1 item"),
        ({"constants": {"primitive": "phone.call"}}, "quantity has no column: phone.call is counted in call_minutes"),
        ({"constants": {"primitive": "voice.room"}}, "quantity has no column"),
        ({"constants": {"primitive": "web.crawl"}}, "quantity has no column"),
        ({"constants": {"primitive": "ai.image"}}, "quantity has no column"),
        ({"constants": {"primitive": "ai.chat"}}, "ai.chat needs a column for input_tokens or output_tokens"),
        (
            {"columns": {"started_at": "ts", "primitive": "kind"}, "values": {"primitive": {"call": "phone.call"}}},
            "quantity has no column",
        ),
        (
            {"columns": {"started_at": "ts", "status": "s"}, "values": {"status": {"ok": "fine"}}},
            "status: 'fine' is none of success",
        ),
        ({"columns": {"started_at": "ts", "native_quantity": "n"}}, "native_quantity and native_unit belong together"),
        ({"columns": {"started_at": "a.b", "user_id": "a"}}, "'a.b' lies within 'a'"),
        ({"time_format": "%d.%m"}, "nor a pattern with a year"),
        ({"time_format": "seconds"}, "neither iso, epoch_s"),
        ({"time_zone": "Mars/Base"}, "unknown time zone"),
        ({"quantity_in": "seconds"}, "which only voice.room and phone.call are counted in"),
        ({"grain": "bucket"}, "period_start has no column"),
        ({"grain": "bucket", "columns": {"period_start": "d"}}, "period_end has no column"),
        ({"bucket_by": ["project_id"]}, "bucket_by: project_id has no column"),
        ({"rows": "both"}, "amount has neither column nor constant"),
        ({"rows": "sums"}, "'usage', 'charges' or 'both'"),
        ({"colums": {}}, "Extra inputs are not permitted"),
    ],
)
def test_a_mapping_that_cannot_work_is_named(settings: dict[str, Any], message: str) -> None:
    assert message in faults_of(GOOD | settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"period_start": "m"}}, "amount has neither column nor constant"),
        ({"constants": {}}, "currency has neither column nor constant; provider_name has neither"),
        ({"columns": {"amount": "a"}}, "period_start has no column"),
        ({"grain": "request"}, "started_at has no column: when did the charge arise"),
        ({"constants": {**BILL["constants"], "charge_category": "Fee"}}, "charge_category: 'Fee' is none of Usage"),
    ],
)
def test_a_bill_that_cannot_work_is_named(changes: dict[str, Any], message: str) -> None:
    assert message in faults_of(BILL | changes)


def test_all_faults_are_named_at_once() -> None:
    text = faults_of({"columns": {"usr": "u"}, "constants": {"primitive": "phone.call"}})
    assert all(part in text for part in ("no field 'usr'", "started_at has no column", "quantity has no column"))


@pytest.mark.parametrize(
    ("column", "place"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        (r"a\.b", ("a.b",)),
        (r"x.a\.b.c", ("x", "a.b", "c")),
        ("Price (EUR)", ("Price (EUR)",)),
    ],
)
def test_a_place_in_a_record_is_dotted(column: str, place: tuple[str, ...]) -> None:
    assert place_of(column) == place
