"""Staged files: one per table and day, checked, counted, the same bytes for the same rows."""

import datetime as dt
import random
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.spend_logs import CONTEXT
from usage_etl.errors import ConservationError, ContractError, UnreadableDeliveryError
from usage_etl.schemas.staged import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources import day_files, staging
from usage_etl.sources.parsed import CoveredBucket, ParsedBatch, quarantine_rows, staged_rows
from usage_etl.sources.staging import StagedDelivery, stage

FIRST = dt.date(2026, 11, 1)
NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


def usage_row(ordinal: int, *, day: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "raw_ordinal": ordinal,
        "event_id": f"event-{ordinal}",
        "usage_date": FIRST + dt.timedelta(days=day),
        "started_at": NOON + dt.timedelta(days=day),
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "token_convention": "cache_in_input",
        "reported_input_tokens": 10,
        "primitive": "ai.chat",
        "processing": "standard",
        "is_cache_hit": False,
    } | changes


def charge_row(ordinal: int, **changes: Any) -> dict[str, Any]:
    return {
        "raw_ordinal": ordinal,
        "bucket_key": "org/costs/2026-11-01",
        "charge_date": FIRST,
        "charge_period_start": NOON,
        "charge_period_end": NOON + dt.timedelta(days=1),
        "provider_name": "openai",
        "billing_account_id": "org",
        "service_name": "completions",
        "charge_category": "Usage",
        **dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), Decimal("1.25")),
        "is_list_cost_estimated": True,
        "billing_currency": "USD",
    } | changes


def usage_batch(*rows: dict[str, Any], refused: int = 0, **changes: Any) -> ParsedBatch:
    fields = {
        "rows_read": len(rows) + refused,
        "usage": staged_rows(STAGED_USAGE, rows, CONTEXT),
        "quarantine": quarantine_rows([(1000 + number, "bad", "line__not_json") for number in range(refused)], CONTEXT),
        "raw_text": lambda ordinal: f"raw {ordinal}",
    }
    return ParsedBatch(**(fields | changes))


def charge_batch(*rows: dict[str, Any], **changes: Any) -> ParsedBatch:
    return ParsedBatch(
        **({"rows_read": len(rows), "charges": staged_rows(STAGED_CHARGES, rows, CONTEXT), "raw_text": str} | changes)
    )


def staged(folder: Path, *batches: ParsedBatch) -> StagedDelivery:
    return stage(iter(batches), context=CONTEXT, work_folder=folder)


def test_a_delivery_of_several_days_becomes_one_file_a_day(tmp_path: Path) -> None:
    found = staged(
        tmp_path,
        usage_batch(usage_row(1, day=2), usage_row(2), usage_row(3, day=2)),
        usage_batch(usage_row(4), usage_row(5, day=2)),
    )

    assert [(file.table_name, str(file.day), file.rows_count) for file in found.files] == [
        ("staged_usage", "2026-11-01", 2),
        ("staged_usage", "2026-11-03", 3),
    ]
    assert [pl.read_parquet(file.path)["raw_ordinal"].to_list() for file in found.files] == [[2, 4], [1, 3, 5]]
    assert (found.rows_read, found.rows_staged, found.rows_quarantined) == (5, 5, 0)


def test_staged_files_have_the_table_s_own_types(tmp_path: Path) -> None:
    found = staged(tmp_path, usage_batch(usage_row(1, user_id="ä")))
    file = pl.read_parquet(found.files[0].path)

    assert file.schema == STAGED_USAGE.polars_schema
    assert file["user_id"].to_list() == ["ä"]


def test_charges_are_staged_by_charge_date_and_refused_ones_named(tmp_path: Path) -> None:
    bad = charge_row(2, billing_currency="dollars", charge_category="Gift")
    found = staged(tmp_path, charge_batch(charge_row(1), bad), charge_batch(charge_row(3, billed_cost=Decimal("-0.5"))))

    (file,) = found.files
    assert pl.read_parquet(file.path)["billed_cost"].to_list() == [Decimal("1.25"), Decimal("-0.5")]
    assert list(found.quarantine) == [BILLING_CHARGES_QUARANTINE.name]
    refused = pl.read_parquet(list(found.quarantine[BILLING_CHARGES_QUARANTINE.name])).row(0, named=True)
    assert (refused["raw_ordinal"], refused["raw_text"]) == (2, "2")
    assert set(refused["reasons"].split(",")) == {"billing_currency__regex", "charge_category__check"}


def test_a_row_that_breaks_the_contract_is_quarantined_with_its_text(tmp_path: Path) -> None:
    bad = usage_row(2, processing="of next year", reported_input_tokens=-1)
    found = staged(tmp_path, usage_batch(usage_row(1), bad, refused=1))

    assert (found.rows_read, found.rows_staged, found.rows_quarantined) == (3, 1, 2)
    quarantine = pl.read_parquet(list(found.quarantine[USAGE_EVENTS_QUARANTINE.name]))
    USAGE_EVENTS_QUARANTINE.validate(quarantine)
    reasons = dict(quarantine.select("raw_ordinal", "reasons").rows())
    assert reasons[1000] == "line__not_json"
    assert set(reasons[2].split(",")) == {"processing__check", "reported_input_tokens__min"}
    assert quarantine.filter(pl.col("raw_ordinal") == 2)["raw_text"].to_list() == ["raw 2"]


def test_a_missing_required_cell_is_named(tmp_path: Path) -> None:
    found = staged(tmp_path, usage_batch(usage_row(1, event_id=None)))

    assert found.files == ()
    assert pl.read_parquet(list(found.quarantine[USAGE_EVENTS_QUARANTINE.name]))["reasons"].to_list() == ["event_id__nullability"]


def bucket_row(ordinal: int, key: str, **changes: Any) -> dict[str, Any]:
    return usage_row(ordinal, grain="bucket", bucket_key=key, **changes)


def test_buckets_are_told_with_and_without_rows_and_by_day(tmp_path: Path) -> None:
    emptied, filled = (CoveredBucket("staged_usage", key, version_at=NOON) for key in ("emptied", "filled"))
    found = staged(
        tmp_path,
        usage_batch(bucket_row(1, "filled"), bucket_row(2, "filled", day=3), usage_row(3), covered=(filled, emptied)),
        usage_batch(bucket_row(4, "filled", day=3), bucket_row(5, "of its rows only")),
    )

    assert [(file.day.day, file.rows_count) for file in found.files] == [(1, 3), (4, 2)]
    assert [(rows.bucket, dict(rows.rows_by_day)) for rows in found.buckets] == [
        (emptied, {}),
        (filled, {FIRST: 1, FIRST + dt.timedelta(days=3): 2}),
        (CoveredBucket("staged_usage", "of its rows only"), {FIRST: 1}),
    ]
    assert [rows.rows_count for rows in found.buckets] == [0, 3, 1]


def test_refused_rows_are_not_counted_in_their_bucket(tmp_path: Path) -> None:
    found = staged(tmp_path, charge_batch(charge_row(1), charge_row(2, billing_currency="dollars")))

    assert [dict(rows.rows_by_day) for rows in found.buckets] == [{FIRST: 1}]


@pytest.mark.parametrize("versions", [(None, NOON), (NOON, None), (NOON, NOON - dt.timedelta(days=1))])
def test_a_bucket_that_is_covered_twice_has_its_newest_version(tmp_path: Path, versions: tuple[Any, Any]) -> None:
    batches = [usage_batch(covered=(CoveredBucket("staged_usage", "b", version_at=version),)) for version in versions]

    assert [rows.bucket.version_at for rows in staged(tmp_path, *batches).buckets] == [NOON]


def test_a_bucket_row_that_names_no_bucket_stops_the_delivery(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="bucket_key"):
        staged(tmp_path, usage_batch(usage_row(1, grain="bucket")))


def test_nothing_read_is_an_empty_delivery(tmp_path: Path) -> None:
    found = staged(tmp_path)

    assert found.is_empty
    assert (found.files, found.quarantine, found.rows_read) == ((), {}, 0)


def test_only_refused_records_are_no_empty_delivery(tmp_path: Path) -> None:
    found = staged(tmp_path, usage_batch(refused=2))

    assert not found.is_empty
    assert (found.files, found.rows_quarantined) == ((), 2)


def test_a_batch_that_does_not_close_stops_the_delivery(tmp_path: Path) -> None:
    with pytest.raises(ConservationError, match=r"3 is not 2"):
        staged(tmp_path, usage_batch(usage_row(1), usage_row(2), rows_read=3))


def test_many_charges_are_put_on_disk_and_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "HELD_CHARGE_ROWS", 3)
    found = staged(tmp_path, *(charge_batch(charge_row(2 * number), charge_row(2 * number + 1)) for number in range(5)))
    (file,) = found.files
    stored = pl.read_parquet(file.path, glob=False)
    assert stored["raw_ordinal"].to_list() == list(range(10))
    assert stored.schema == STAGED_CHARGES.polars_schema


def test_records_out_of_scope_are_counted_and_become_nothing(tmp_path: Path) -> None:
    found = staged(tmp_path, usage_batch(usage_row(1), refused=1, rows_read=7, rows_out_of_scope=5))
    assert (found.rows_read, found.rows_staged, found.rows_quarantined, found.rows_out_of_scope) == (7, 1, 1, 5)
    assert found.rows_in_scope == 2

    with pytest.raises(ConservationError, match=r"7 is not 6"):
        staged(tmp_path, usage_batch(usage_row(1), refused=1, rows_read=7, rows_out_of_scope=4))


def test_a_frame_of_the_wrong_shape_stops_the_delivery(tmp_path: Path) -> None:
    batch = usage_batch(usage_row(1))
    narrow = batch.usage.with_columns(pl.col("requests_count").cast(pl.Int32))

    with pytest.raises(ContractError, match="requests_count"):
        staged(tmp_path, usage_batch(usage_row(1), usage=narrow))


def test_what_the_parser_raises_comes_through_as_it_is(tmp_path: Path) -> None:
    def cut() -> Iterator[ParsedBatch]:
        yield usage_batch(usage_row(1))
        raise UnreadableDeliveryError("gateway", "the file is cut")

    with pytest.raises(UnreadableDeliveryError, match="the file is cut"):
        stage(cut(), context=CONTEXT, work_folder=tmp_path)


def test_many_refused_records_are_written_away_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_HELD_QUARANTINE_ROWS", 10)
    found = staged(tmp_path, *(usage_batch(refused=4) for _ in range(9)))

    assert pl.read_parquet(list(found.quarantine[USAGE_EVENTS_QUARANTINE.name])).height == found.rows_quarantined == 36
    assert len(list(tmp_path.glob("usage_events__quarantine-*"))) == 3


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [usage_row(number, day=number % 3, user_id=f"user-{number * 7 % 13}") for number in range(1, 400)]
    whole = staged(tmp_path / "whole", usage_batch(*rows))
    random.Random(1).shuffle(names := [f"user-{number}" for number in range(40)])
    pl.Series(names).cast(pl.Categorical)  # categories seen before, in another order
    pieces = staged(tmp_path / "pieces", *(usage_batch(*rows[at : at + 7]) for at in range(0, len(rows), 7)))

    assert [file.sha256 for file in whole.files] == [file.sha256 for file in pieces.files]
    assert all(file.sha256 and file.path.stat().st_size for file in whole.files)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=6))
def test_every_row_is_in_the_file_of_its_day(days_of_batches: list[list[int]]) -> None:
    numbers = iter(range(1, 1000))
    batches = [usage_batch(*(usage_row(next(numbers), day=day) for day in days)) for days in days_of_batches]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(day_files, "WAITING_ROWS", 3)
        found = staged(Path(folder), *batches)
        stored = {file.day: pl.read_parquet(file.path, glob=False)["raw_ordinal"].to_list() for file in found.files}

    expected: dict[dt.date, list[int]] = {}
    for number, day in enumerate((day for days in days_of_batches for day in days), start=1):
        expected.setdefault(FIRST + dt.timedelta(days=day), []).append(number)
    assert stored == expected
