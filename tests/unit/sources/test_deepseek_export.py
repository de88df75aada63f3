"""DeepSeek's exports in every generation: kinds of amounts become one row, yuan stay yuan, grants are credits."""

import datetime as dt
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total, write_csv
from usage_etl.errors import UnreadableDeliveryError

Row = dict[str, str | None]


def amount(kind: str, count: str, **changes: str | None) -> Row:
    return {
        "user_id": "u-1",
        "utc_date": "2026-10-05",
        "model": "deepseek-v4-pro",
        "api_key_name": "search",
        "api_key": "sk-a1b2*****h8i9",
        "type": kind,
        "price": "0.000003",
        "amount": count,
    } | changes


def cost(text: str, **changes: str | None) -> Row:
    return {
        "user_id": "u-1",
        "utc_date": "20261005",
        "model": "deepseek-v4-pro",
        "wallet_type": "Paid",
        "cost": text,
        "currency": "CNY",
    } | changes


GROUP = [
    amount("input_cache_hit_tokens", "1000"),
    amount("input_cache_miss_tokens", "500"),
    amount("output_tokens", "200"),
    amount("request_count", "3", price=""),
    amount("input_cache_miss_tokens", "50", price="0.000006"),
]


def table(folder: Path, *rows: Row, **source: Any) -> Outcome:
    return parsed("deepseek", write_csv(folder / "export.csv", rows), **source)


def test_the_kinds_of_a_group_are_one_row(tmp_path: Path) -> None:
    outcome = table(tmp_path, *GROUP)
    event = outcome.event
    assert (event["reported_input_tokens"], event["cache_read_tokens"], event["reported_output_tokens"]) == (550, 1000, 200)
    assert (event["requests_count"], event["token_convention"], event["raw_ordinal"]) == (3, "cache_beside_input", 1)
    assert (event["grain"], event["usage_date"], event["model_raw"]) == ("bucket", dt.date(2026, 10, 5), "deepseek-v4-pro")
    assert (event["api_key_id"], event["host_raw"]) == ("search", "deepseek")
    assert (outcome.rows_read, sum(batch.rows_merged for batch in outcome.batches)) == (5, 4)
    assert [bucket.bucket_key for bucket in outcome.covered] == ["org-1/amounts/2026-10-05T00:00:00Z"]


def test_a_kind_that_no_line_names_is_unknown_and_not_zero(tmp_path: Path) -> None:
    event = table(tmp_path, amount("output_tokens", "5")).event
    assert (event["cache_read_tokens"], event["reported_input_tokens"]) == (None, None)


def test_a_masked_key_is_stored_as_a_hash_where_it_has_no_name(tmp_path: Path) -> None:
    key = table(tmp_path, amount("output_tokens", "5", api_key_name="")).event["api_key_id"]
    assert len(key) == 64
    assert "sk-" not in key


def test_models_days_and_keys_are_rows_of_their_own(tmp_path: Path) -> None:
    others = [
        amount("output_tokens", "1", **change) for change in ({"model": "b"}, {"api_key_name": "c"}, {"utc_date": "20261006"})
    ]
    outcome = table(tmp_path, *GROUP, *others)
    assert outcome.usage.height == 4
    assert outcome.usage["event_id"].n_unique() == 4


def test_costs_keep_their_currency_to_the_last_digit(tmp_path: Path) -> None:
    outcome = table(tmp_path, cost("1.234567890123456789"), cost("0.5", currency="usd", model="b"))
    assert outcome.charges["billed_cost"].to_list() == [Decimal("1.234567890123456789"), Decimal("0.5")]
    assert outcome.charges["billing_currency"].to_list() == ["CNY", "USD"]
    assert outcome.charges["provider_name"].unique().to_list() == ["deepseek"]
    assert outcome.charges["charge_date"].unique().to_list() == [dt.date(2026, 10, 5)]


def test_what_a_granted_balance_pays_is_credited(tmp_path: Path) -> None:
    outcome = table(tmp_path, cost("0.05", wallet_type="granted"), cost("1", wallet_type="Paid"))
    assert outcome.charges["raw_ordinal"].to_list() == [1, 1, 2]
    assert outcome.charges["charge_category"].to_list() == ["Usage", "Credit", "Usage"]
    assert total(outcome.charges["billed_cost"]) == 1
    assert total(outcome.charges["list_cost"]) == total([Decimal("1.05")])


@pytest.mark.parametrize(
    ("row", "reasons"),
    [
        (cost("¥0.10"), "cost__not_a_decimal"),
        (cost("€0.10"), "cost__not_a_decimal"),
        (cost("$0.10"), "cost__not_a_decimal"),
        (cost("0,10"), "cost__not_a_decimal"),
        (cost(""), "cost__missing"),
        (cost("1", currency=""), "currency__missing"),
        (cost("1", currency="EUR"), "currency__not_cny_or_usd"),
        (cost("1", utc_date="2026-02-30"), "utc_date__not_a_time"),
        (cost("1", utc_date=""), "utc_date__missing"),
        (cost("1", model=""), "model__missing"),
    ],
)
def test_a_bad_cost_is_refused_and_never_becomes_dollars(tmp_path: Path, row: Row, reasons: str) -> None:
    outcome = table(tmp_path, row, cost("1"))
    assert outcome.refused == {1: reasons}
    assert outcome.charges["billed_cost"].to_list() == [Decimal(1)]


def test_a_currency_of_the_settings_stands_in_only_where_the_export_states_none(tmp_path: Path) -> None:
    bare = {name: cell for name, cell in cost("1").items() if name != "currency"}
    assert table(tmp_path, bare).refused == {1: "currency__missing"}
    assert table(tmp_path, bare, currency="USD").charge["billing_currency"] == "USD"
    assert table(tmp_path, cost("1"), currency="USD").charge["billing_currency"] == "CNY"


@pytest.mark.parametrize(
    ("row", "reasons"),
    [
        (amount("a kind of next year", "1"), "type__unknown"),
        (amount("output_tokens", ""), "amount__missing"),
        (amount("output_tokens", "1.5"), "amount__not_a_count"),
        (amount("output_tokens", "-1"), "amount__out_of_range"),
    ],
)
def test_a_bad_amount_is_refused_and_the_group_keeps_the_rest(tmp_path: Path, row: Row, reasons: str) -> None:
    outcome = table(tmp_path, GROUP[0], row, GROUP[1])
    assert outcome.refused == {2: reasons}
    assert outcome.usage["reported_input_tokens"].to_list() == [500]


def test_later_exports_state_intervals_with_offsets(tmp_path: Path) -> None:
    interval: Row = {"start_time_iso": "2026-10-05T00:00:00+03:00", "end_time_iso": "2026-10-06T00:00:00+03:00"}
    bare = {name: cell for name, cell in cost("1").items() if name != "utc_date"}
    charge = table(tmp_path, {**interval, **bare}).charge
    assert charge["charge_period_start"] == dt.datetime(2026, 10, 4, 21, tzinfo=dt.UTC)
    assert charge["charge_period_end"] == dt.datetime(2026, 10, 5, 21, tzinfo=dt.UTC)
    backwards = {**interval, **bare, "end_time_iso": interval["start_time_iso"]}
    assert table(tmp_path, backwards).refused == {1: "end_time_iso__not_after_start"}


def export(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_the_zip_is_read_as_downloaded(tmp_path: Path) -> None:
    amounts = b"\xef\xbb\xbf" + write_csv(tmp_path / "a.csv", GROUP, lineterminator="\r\n").read_bytes()
    costs = write_csv(tmp_path / "c.csv", [cost("1.5"), cost("bad")]).read_bytes()
    path = export(tmp_path / "usage.zip", **{"amount-2026-10__csv": amounts, "cost-2026-10__csv": costs, "readme__txt": b"x"})
    outcome = parsed("deepseek", path)
    assert (outcome.rows_read, outcome.usage.height) == (7, 1)
    assert outcome.charges["raw_ordinal"].to_list() == [6]
    assert outcome.refused == {7: "cost__not_a_decimal"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 cut", "cut, damaged or encrypted"),
        (b"name,value\n1,2\n", "not an export of DeepSeek"),
        (b"", "empty"),
    ],
)
def test_another_file_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    with pytest.raises(UnreadableDeliveryError, match=message):
        parsed("deepseek", path)
    with pytest.raises(UnreadableDeliveryError, match="no CSV file"):
        parsed("deepseek", export(path, readme__txt=b"x"))


def test_a_group_that_goes_on_in_a_later_frame_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(tmp_path, *GROUP)
    path = tmp_path / "export.csv"
    path.write_bytes(path.read_text().encode("utf-16"))  # read row by row, not block by block
    monkeypatch.setattr("usage_etl.sources.reading.text_tables.CHUNK_CELLS", 16)
    parts = parsed("deepseek", path)
    assert parts.usage["event_id"].n_unique() == parts.usage.height > 1
    counted = ("reported_input_tokens", "cache_read_tokens", "reported_output_tokens", "requests_count")
    assert [parts.usage[name].sum() for name in counted] == [whole.usage[name].sum() for name in counted]


@pytest.mark.parametrize("name", ["amount-2026-07.csv", "cost-2026-07.csv", "amount-2026-09.csv", "cost-2026-09.csv"])
def test_the_recorded_examples_are_read_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes((RECORDED / "deepseek" / name).read_bytes())
    outcome = parsed("deepseek", path)
    assert outcome.refused == {}
    assert outcome.rows_read > 0


KINDS = st.sampled_from(["input_cache_hit_tokens", "input_cache_miss_tokens", "output_tokens", "request_count"])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(KINDS, st.integers(0, 10**12), st.sampled_from("abc"), st.sampled_from(["2026-10-05", "20261006"])), min_size=1
    ),
)
def test_amounts_are_conserved(tmp_path: Path, cells: list[tuple[str, int, str, str]]) -> None:
    outcome = table(tmp_path, *(amount(kind, str(count), model=model, utc_date=day) for kind, count, model, day in cells))
    assert outcome.refused == {}
    columns = {
        "cache_read_tokens": "input_cache_hit_tokens",
        "reported_input_tokens": "input_cache_miss_tokens",
        "reported_output_tokens": "output_tokens",
        "requests_count": "request_count",
    }
    for column, kind in columns.items():
        assert outcome.usage.select(pl.col(column).sum()).item() == sum(count for name, count, *_ in cells if name == kind)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.decimals(0, 10**9, places=16), st.sampled_from(["Paid", "granted"]), st.sampled_from(["CNY", "USD"])),
        min_size=1,
    )
)
def test_costs_are_conserved_by_currency(tmp_path: Path, cells: list[tuple[Decimal, str, str]]) -> None:
    outcome = table(tmp_path, *(cost(f"{text:f}", wallet_type=wallet, currency=currency) for text, wallet, currency in cells))
    for currency in ("CNY", "USD"):
        billed = outcome.charges.filter(pl.col("billing_currency") == currency)["billed_cost"]
        assert total(billed) == total(text for text, wallet, stated in cells if stated == currency and wallet == "Paid")
