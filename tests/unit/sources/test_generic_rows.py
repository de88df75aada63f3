"""What rows of any tool become by their mapping: requests and buckets of all ten primitives, exact to the last digit."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.source_files import RECORDED, Staged, lines, row_of, staged, table
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.units import PRIMITIVE_UNITS

KIND = "generic"
SAMPLES = sorted(path for path in (RECORDED / KIND).iterdir() if path.suffix == ".yaml")
CALL: dict[str, Any] = {
    "columns": {"event_id": "id", "started_at": "at", "quantity": "n", "user_id": "who"},
    "constants": {"primitive": "phone.call"},
}


def sample(mapping: Path) -> Staged:
    (data,) = (path for path in mapping.parent.glob(f"{mapping.stem}.*") if path != mapping)
    return staged(KIND, data.read_bytes(), **yaml.safe_load(mapping.read_text(encoding="utf-8")))


def call(**changes: Any) -> dict[str, Any]:
    return {"id": "c-1", "at": "2026-11-02T09:00:00Z", "n": "1.5", "who": "ana"} | changes


def test_there_is_a_sample_of_every_primitive() -> None:
    assert {path.stem for path in SAMPLES} >= set(PRIMITIVE_UNITS)


@pytest.mark.parametrize("mapping", SAMPLES, ids=lambda path: path.stem)
def test_every_recorded_sample_is_read_whole(mapping: Path) -> None:
    found = sample(mapping)
    assert found.refused == {}
    assert found.rows_read > 1
    if mapping.stem in PRIMITIVE_UNITS:
        assert set(found.usage["primitive"].cast(str)) == {mapping.stem}


@pytest.mark.parametrize(
    ("primitive", "quantities"),
    [
        ("voice.room", ["31.616666666666666667", "30"]),
        ("phone.call", ["2", "0"]),
        ("phone.sms", ["1", "1"]),
        ("web.crawl", ["1204", "17", "0"]),
        ("email.send", ["1", "1"]),
        ("governance.scan", ["1", "1"]),
        ("safety.moderate", ["1", "1"]),
        ("ai.image", ["4", "1"]),
        ("ai.embed", ["16", "1"]),
    ],
)
def test_quantities_are_in_the_unit_of_the_primitive(primitive: str, quantities: list[str]) -> None:
    found = sample(RECORDED / KIND / f"{primitive}.yaml")
    assert found.usage["quantity"].to_list() == [Decimal(text) for text in quantities]


def test_chat_has_tokens_and_no_quantity() -> None:
    found = sample(RECORDED / KIND / "ai.chat.yaml")
    assert found.tokens() == (1210, 91)
    assert found.rows[0]["cache_read_tokens"] == 1000
    assert found.usage["quantity"].null_count() == 2
    assert found.usage["latency_ms"].to_list() == [812, 90]


def test_csv_json_and_parquet_give_the_same_rows() -> None:
    records = [call(), call(id="c-2", n="2", who="bo")]
    buffer = io.BytesIO()
    pl.DataFrame(records).write_parquet(buffer)
    expected = staged(KIND, lines(*records), **CALL).usage
    forms = {
        "csv": table(list(records[0]), *(record.values() for record in records)).encode(),
        "utf-16 csv": table(list(records[0]), *(record.values() for record in records), separator=";").encode("utf-16"),
        "json array": json.dumps(records).encode(),
        "parquet": buffer.getvalue(),
    }
    for name, content in forms.items():
        assert staged(KIND, content, **CALL).usage.equals(expected), name


@settings(max_examples=50)
@given(
    st.lists(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=18), min_size=1, max_size=6),
    st.sampled_from(["{:f}", "{:e}", "{:E}"]),
    st.sampled_from(["csv", "json text", "json number"]),
)
def test_quantities_are_exact_in_every_spelling(quantities: list[Decimal], spelling: str, form: str) -> None:
    texts = [spelling.format(quantity) for quantity in quantities]
    if form == "csv":
        content = table(
            ["id", "at", "n", "who"], *([number, "2026-11-02T09:00:00Z", text, "a"] for number, text in enumerate(texts))
        )
    else:
        quote = '"' if form == "json text" else ""
        content = "".join(
            f'{{"id":"{number}","at":"2026-11-02T09:00:00Z","n":{quote}{text}{quote}}}\n' for number, text in enumerate(texts)
        )
    found = staged(KIND, content, **CALL)
    if form == "json number":  # the fast reader may print the float that the number is
        assert [float(got) for got in found.usage["quantity"]] == pytest.approx([float(sent) for sent in quantities])
    else:
        assert found.usage["quantity"].to_list() == quantities


@pytest.mark.parametrize(
    ("changes", "given_", "minutes"),
    [
        ({"quantity_in": "seconds"}, "90", "1.5"),
        ({"quantity_in": "seconds"}, "100", "1.666666666666666667"),
        ({"quantity_in": "milliseconds"}, "90000", "1.5"),
        ({"quantity_in": "hours"}, "0.25", "15"),
        ({"quantity_in": "thousands"}, "0.0015", "1.5"),
        ({"quantity_in": "seconds", "quantity_rounding": "up"}, "61", "2"),
        ({"quantity_in": "seconds", "quantity_rounding": "up"}, "120", "2"),
        ({"quantity_in": "seconds", "quantity_rounding": "up"}, "0", "0"),
        ({"quantity_rounding": "up"}, "1.000000000000000001", "2"),
        ({"decimal_mark": "comma"}, "1.234,5", "1234.5"),
    ],
)
def test_quantities_become_minutes(changes: dict[str, Any], given_: str, minutes: str) -> None:
    assert row_of(KIND, call(n=given_), **CALL, **changes)["quantity"] == Decimal(minutes)


def test_only_minutes_are_made_of_seconds_where_a_file_mixes_primitives() -> None:
    mixed = {
        "columns": {"started_at": "at", "quantity": "n", "primitive": "what"},
        "values": {"primitive": {"call": "phone.call", "text": "phone.sms"}},
    }
    found = staged(KIND, lines(call(what="call", n=90), call(what="text", n=3)), **mixed, quantity_in="seconds")
    assert found.usage["quantity"].to_list() == [Decimal("1.5"), Decimal(3)]


def test_a_quantity_that_is_not_there_is_unknown_and_not_zero() -> None:
    assert row_of(KIND, call(n=None), **CALL)["quantity"] is None


@pytest.mark.parametrize(
    ("written", "settings_", "utc"),
    [
        ("2026-11-02", {}, "2026-11-02T00:00:00"),
        ("2026-11-02 09:30", {"time_zone": "Europe/Berlin"}, "2026-11-02T08:30:00"),
        ("2026-11-02T09:30:00+05:30", {"time_zone": "Europe/Berlin"}, "2026-11-02T04:00:00"),
        ("1793615445", {"time_format": "epoch_s"}, "2026-11-02T10:30:45"),
        ("1793615445000", {"time_format": "epoch_ms"}, "2026-11-02T10:30:45"),
        ("02/11/2026 21:05", {"time_format": "%d/%m/%Y %H:%M"}, "2026-11-02T21:05:00"),
        ("2026-10-25 02:30:00", {"time_zone": "Europe/Berlin"}, "2026-10-25T00:30:00"),
    ],
)
def test_times_are_what_the_settings_say(written: str, settings_: dict[str, str], utc: str) -> None:
    row = row_of(KIND, call(at=written), **CALL, **settings_)
    assert row["started_at"].replace(tzinfo=None).isoformat() == utc


@pytest.mark.parametrize(
    ("status", "http", "expected"),
    [
        ("completed", None, "success"),
        ("busy", None, "cancelled"),
        ("weird", None, "unknown"),
        (None, 503, "error"),
        (None, None, "unknown"),
    ],
)
def test_words_become_ours(status: str | None, http: int | None, expected: str) -> None:
    mapping = {
        "columns": CALL["columns"] | {"status": "state", "http_status": "code"},
        "constants": CALL["constants"],
        "values": {"status": {"completed": "success", "busy": "cancelled", "*": "unknown"}},
    }
    assert row_of(KIND, call(state=status, code=http), **mapping)["status"] == expected


def test_a_constant_fills_what_a_column_leaves_empty() -> None:
    mapping = {
        "columns": CALL["columns"],
        "constants": CALL["constants"] | {"user_id": "nobody", "team_id": "core", "cache_hit": "yes"},
    }
    found = staged(KIND, lines(call(), call(id="c-2", who="")), **mapping)
    assert [row["user_id"] for row in found.rows] == ["ana", "nobody"]
    assert {(row["team_id"], row["is_cache_hit"]) for row in found.rows} == {("core", True)}


def test_one_column_may_fill_several_fields_and_nested_ones_are_found() -> None:
    mapping = {
        "columns": {"event_id": "a.id", "session_id": "a.id", "started_at": r"x\.at", "quantity": "a.b.n", "api_key_id": "a.key"},
        "constants": {"primitive": "phone.call"},
    }
    row = row_of(KIND, {"a": {"id": 7, "b": {"n": 2}, "key": "sk-secret"}, "x.at": "2026-11-02T09:00:00Z"}, **mapping)
    assert (row["event_id"], row["session_id"], row["quantity"]) == ("7", "7", Decimal(2))
    assert len(row["api_key_id"]) == 64


def test_a_prompt_is_kept_only_where_it_is_mapped_and_cut() -> None:
    mapping = {"columns": CALL["columns"] | {"prompt": "text", "client_ip": "ip"}, "constants": CALL["constants"]}
    row = row_of(KIND, call(text="x" * 500, ip="10.0.0.1"), **mapping)
    assert (len(row["prompt_excerpt"]), row["client_ip"]) == (120, "10.0.0.1")


def test_rows_without_an_id_are_known_by_what_they_say() -> None:
    mapping = {"columns": {"started_at": "at", "quantity": "n"}, "constants": CALL["constants"]}
    ids = staged(KIND, lines(call(), call(n="2"), call()), **mapping).usage["event_id"].to_list()
    assert ids[2] == f"{ids[0]}#2"
    assert ids == staged(KIND, lines(call(), call(n="2"), call()), **mapping).usage["event_id"].to_list()


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"id": ""}, "event_id__missing"),
        ({"at": ""}, "started_at__missing"),
        ({"at": "soon"}, "started_at__not_a_time"),
        ({"at": "2027-01-01"}, "started_at__in_future"),
        ({"n": "-1"}, "quantity__negative"),
        ({"n": "1,5"}, "quantity__not_a_decimal"),
        ({"n": "1e300"}, "quantity__not_a_decimal"),
        ({"n": "€ 5"}, "quantity__not_a_decimal"),
    ],
)
def test_a_bad_row_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert staged(KIND, lines(call(), call(**changes)), **CALL).refused == {2: reasons}


@pytest.mark.parametrize(
    ("changes", "counted", "reasons"),
    [
        ({"i": 5, "c": 6}, "cache_in_input", "cached_tokens__exceed_input_tokens"),
        ({"i": 5, "c": 6}, "cache_beside_input", ""),
        ({"o": 5, "r": 6}, "cache_in_input", "reasoning_tokens__exceed_output_tokens"),
        ({"o": 5, "r": 6}, "cache_in_input_reasoning_beside_output", ""),
        ({"i": -1}, "cache_in_input", "input_tokens__out_of_range"),
        ({"i": "1.5"}, "cache_in_input", "input_tokens__not_a_count"),
    ],
)
def test_tokens_keep_the_rules_of_how_they_are_counted(changes: dict[str, Any], counted: str, reasons: str) -> None:
    mapping = {
        "columns": {
            "started_at": "at",
            "input_tokens": "i",
            "cache_read_tokens": "c",
            "output_tokens": "o",
            "reasoning_tokens": "r",
        },
        "constants": {"primitive": "ai.chat"},
        "tokens_counted": counted,
    }
    assert staged(KIND, lines(call(i=5, o=5), call(i=5, o=5) | changes), **mapping).refused.get(2, "") == reasons


@pytest.mark.parametrize(("word", "field"), [("dial", "primitive"), ("done", "status"), ("slow", "processing")])
def test_a_word_that_is_none_of_ours_is_refused(word: str, field: str) -> None:
    mapping = {
        "columns": {"started_at": "at", "quantity": "n", field: "word"},
        "constants": {"primitive": "phone.call"} if field != "primitive" else {},
    }
    good = {"primitive": "phone.call", "status": "success", "processing": "batch"}[field]
    refused = staged(KIND, lines(call(word=good), call(word=word)), **mapping).refused
    assert refused == {2: "primitive__unknown" if field == "primitive" else f"{field}__unknown_word"}


BUCKET: dict[str, Any] = {
    "grain": "bucket",
    "period": "day",
    "columns": {"period_start": "day", "quantity": "n", "project_id": "p"},
    "constants": {"primitive": "web.crawl"},
}


def test_equal_rows_of_a_bucket_are_two_rows() -> None:
    found = staged(KIND, table(["day", "n", "p"], ["2026-11-02", 5, "a"], ["2026-11-02", 5, "a"]), **BUCKET)
    assert found.usage["event_id"].n_unique() == 2
    assert [(row["grain"], row["requests_count"], row["status"]) for row in found.rows] == [("bucket", 0, "unknown")] * 2
    assert len(found.covered) == 1


@pytest.mark.parametrize(("by", "keys"), [([], 1), (["project_id"], 2)])
def test_a_bucket_is_its_period_and_what_the_settings_add(by: list[str], keys: int) -> None:
    found = staged(KIND, table(["day", "n", "p"], ["2026-11-02", 5, "a"], ["2026-11-02", 6, "b"]), **BUCKET, bucket_by=by)
    assert found.usage["bucket_key"].n_unique() == len(found.covered) == keys
    assert {bucket.day.isoformat() for bucket in found.covered if bucket.day} == {"2026-11-02"}


@pytest.mark.parametrize(
    ("settings_", "cells", "bounds"),
    [
        ({"period": "hour"}, ["2026-11-02 09:00", ""], ("2026-11-02T09:00:00", "2026-11-02T10:00:00")),
        ({"period": "month"}, ["2026-11", ""], ("2026-11-01T00:00:00", "2026-12-01T00:00:00")),
        ({"period": "day", "time_zone": "Europe/Berlin"}, ["2026-10-25", ""], ("2026-10-24T22:00:00", "2026-10-25T23:00:00")),
        ({"period": "day", "time_zone": "Europe/Berlin"}, ["2026-03-29", ""], ("2026-03-28T23:00:00", "2026-03-29T22:00:00")),
        ({"period_end_is": "inclusive"}, ["2026-09-01", "2026-09-30"], ("2026-09-01T00:00:00", "2026-10-01T00:00:00")),
        ({"period_end_is": "exclusive"}, ["2026-09-01", "2026-10-01"], ("2026-09-01T00:00:00", "2026-10-01T00:00:00")),
    ],
)
def test_periods_are_half_open_and_of_the_zone(settings_: dict[str, str], cells: list[str], bounds: tuple[str, str]) -> None:
    mapping = BUCKET | {"period": None, "columns": BUCKET["columns"] | {"period_end": "end"}} | settings_
    row = staged(KIND, table(["day", "end", "n", "p"], [*cells, 5, "a"]), **mapping).row
    assert tuple(row[name].replace(tzinfo=None).isoformat() for name in ("started_at", "ended_at")) == bounds


def test_a_period_without_an_end_or_that_ends_before_it_begins_is_refused() -> None:
    mapping = BUCKET | {"period": None, "columns": BUCKET["columns"] | {"period_end": "end"}}
    rows = [["2026-09-02", "2026-09-02", 5, "a"], ["2026-09-02", "2026-09-01", 5, "a"], ["2026-09-02", "", 5, "a"]]
    refused = staged(KIND, table(["day", "end", "n", "p"], *rows), **mapping).refused
    assert refused == {1: "period_end__not_after_start", 2: "period_end__not_after_start", 3: "period_end__missing"}


def test_the_newest_version_of_a_bucket_is_said() -> None:
    mapping = BUCKET | {"columns": BUCKET["columns"] | {"record_version_at": "run"}}
    rows = [["2026-11-02", 5, "a", "2026-11-03T01:00:00Z"], ["2026-11-02", 6, "b", "2026-11-03T02:00:00Z"]]
    (bucket,) = staged(KIND, table(["day", "n", "p", "run"], *rows), **mapping).covered
    assert bucket.version_at is not None
    assert bucket.version_at.isoformat() == "2026-11-03T02:00:00+00:00"


@pytest.mark.parametrize(
    ("content", "settings_", "message"),
    [
        ("id,at,who\n1,2,3\n", {}, "there is no column n, which the mapping names; the file has id, at, who"),
        ('{"foo": 1}\n', {}, "no record has one of the fields that the mapping names"),
        ("id,at,n,who\n", {"format": "json"}, "the file is csv, its settings say format: json"),
        ('{"id": 1}\n', {"format": "parquet"}, "the file is json"),
    ],
)
def test_a_file_that_is_something_else_is_refused(content: str, settings_: dict[str, str], message: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=message):
        staged(KIND, content, **CALL, **settings_)


def test_columns_are_found_in_any_case_and_order() -> None:
    assert staged(KIND, "WHO,n,At,ID\nana,1,2026-11-02,x\n", **CALL).row["event_id"] == "x"
