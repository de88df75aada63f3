"""OpenAI pages become charges and bucket usage, exactly, or a named refusal."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.unit.sources.report_pages import (
    CONTEXT,
    DAY_SECONDS,
    FIRST_DAY,
    FIRST_SECOND,
    RECORDED,
    number,
    openai_bucket,
    openai_cost,
    openai_page,
    openai_usage,
    read,
    save,
)
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.money import exact_sum
from usage_etl.sources.openai.parse import parse
from usage_etl.sources.reading.exact_json import loads

COSTS = RECORDED / "openai" / "costs_page.json"
USAGE = RECORDED / "openai" / "usage_completions_pages.jsonl"
PULL = RECORDED / "openai" / "usage_completions_pull.jsonl"


def test_costs_keep_every_digit() -> None:
    charges = read(parse, COSTS).charges
    assert charges["billed_cost"].to_list() == [
        Decimal("0.06"),
        Decimal("0.000001"),
        Decimal("0.895874"),
        Decimal("12.345678901234567891"),
        Decimal("0.130804383403075260"),
        Decimal(-180),
        Decimal("0.0000135"),
    ]
    for copied in ("effective_cost", "list_cost", "contracted_cost"):
        assert charges[copied].equals(charges["billed_cost"])
    assert charges["is_list_cost_estimated"].all()
    assert charges["billing_currency"].unique().to_list() == ["USD"]


def test_line_items_name_model_class_and_processing_where_the_rule_knows_them() -> None:
    charges = read(parse, COSTS).charges
    assert charges.select("model_raw", "token_class", "processing", "sku_meter").rows() == [
        ("gpt-5.2-2025-12-11", "input_uncached_tokens", "standard", "input"),
        ("gpt-5.2-2025-12-11", "cache_read_tokens", "standard", "cached input"),
        ("gpt-5.2-2025-12-11", "output_tokens", "priority", "output"),
        (None, None, None, "web search tool calls"),
        ("text-embedding-3-small", "input_uncached_tokens", "standard", "input"),
        (None, None, None, "Promotional credit"),
        ("gpt-6-astra", "input_uncached_tokens", "standard", "input_tokens"),
    ]


def test_quantities_come_in_their_base_unit_or_not_at_all() -> None:
    charges = read(parse, COSTS).charges
    assert charges.select("consumed_quantity", "consumed_unit").rows() == [
        (Decimal(34285), "Tokens"),
        (Decimal("5.714"), "Tokens"),
        (Decimal(63990), "Tokens"),
        (Decimal(1234), "Units"),
        (None, None),
        (None, None),
        (Decimal(10), "Tokens"),
    ]


def test_a_negative_amount_is_a_credit_and_keeps_its_sign() -> None:
    charges = read(parse, COSTS).charges
    credit = charges.filter(pl.col("billed_cost") < 0)
    assert credit.select("charge_category", "charge_description", "billed_cost").rows() == [
        ("Credit", "Promotional credit", Decimal(-180))
    ]
    assert charges.filter(pl.col("billed_cost") >= 0)["charge_category"].unique().to_list() == ["Usage"]


def test_charges_carry_delivery_bucket_and_account() -> None:
    first = read(parse, COSTS).charges.row(0, named=True)
    assert first["source"] == "bills"
    assert first["delivery_sequence"] == 7
    assert first["billing_account_id"] == first["source_account"] == "org-1"
    assert first["provider_name"] == "openai"
    assert first["sub_account_id"] == "proj_alpha"
    assert first["bucket_key"] == "org-1/costs/2026-10-01T00:00:00Z/1d"
    assert first["charge_date"] == FIRST_DAY
    assert first["charge_period_start"] == dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    assert first["charge_period_end"] == dt.datetime(2026, 10, 2, tzinfo=dt.UTC)


def test_an_empty_bucket_is_covered_without_rows() -> None:
    parsed = read(parse, COSTS)
    days = [(bucket.table_name, bucket.day) for bucket in parsed.covered]
    assert days == [("staged_charges", FIRST_DAY + dt.timedelta(days=offset)) for offset in range(4)]
    assert FIRST_DAY + dt.timedelta(days=1) not in parsed.charges["charge_date"].to_list()


def test_usage_is_staged_per_group_with_cache_inside_input() -> None:
    usage = read(parse, USAGE).usage
    assert usage.height == 4
    first = usage.row(0, named=True)
    assert first["token_convention"] == "cache_in_input"
    assert (first["reported_input_tokens"], first["cache_read_tokens"], first["cache_write_tokens"]) == (1000, 400, 100)
    assert (first["reported_output_tokens"], first["requests_count"]) == (250, 8)
    assert (first["grain"], first["status"], first["source_role"]) == ("bucket", "unknown", "reconciliation")
    assert (first["host_raw"], first["model_raw"], first["user_id"]) == ("openai", "gpt-5.2-2025-12-11", "user-1")
    assert usage["processing"].to_list() == ["standard", "standard", "batch", "priority"]
    assert usage["model_raw"].to_list()[-1] is None


def test_rows_identical_in_every_dimension_are_both_kept() -> None:
    usage = read(parse, USAGE).usage
    first, second = usage["event_id"].to_list()[:2]
    assert second == f"{first}#2"
    assert usage["event_id"].n_unique() == usage.height
    assert usage["requests_count"].to_list()[:2] == [8, 1]


def test_a_pull_reads_like_its_pages() -> None:
    assert read(parse, PULL).usage.equals(read(parse, USAGE).usage)


def test_the_event_id_depends_on_bucket_and_dimensions_only(tmp_path: Path) -> None:
    def event_id(day: int = 0, **fields: object) -> str:
        page = openai_page(openai_bucket(openai_usage(**fields), day=day))
        return str(read(parse, save(tmp_path, page)).usage["event_id"].item())

    plain = event_id()
    assert event_id(output_tokens=number("9")) == plain
    others = [event_id(day=1), event_id(model=None), event_id(model="null"), event_id(batch=None), event_id(user_id="u")]
    assert len({plain, *others}) == 6


def test_a_page_that_stands_twice_counts_once(tmp_path: Path) -> None:
    page = openai_page(openai_bucket(openai_cost("1.5"), openai_cost("1.5")))
    parsed = read(parse, save(tmp_path, page, page))
    assert exact_sum(parsed.charges["billed_cost"]) == 3
    assert parsed.rows_read == 4
    assert parsed.reasons == ["bucket__repeated"] * 2
    assert len(parsed.covered) == 1


def test_a_bucket_that_stands_twice_with_other_rows_refuses_the_file(tmp_path: Path) -> None:
    pages = [openai_page(openai_bucket(openai_cost(value))) for value in ("1", "2")]
    with pytest.raises(UnreadableDeliveryError, match="stands twice with different rows"):
        read(parse, save(tmp_path, *pages))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "billed_cost__missing"),
        ("NaN", "billed_cost__not_a_decimal"),
        ("Infinity", "billed_cost__not_a_decimal"),
        ("1e12", "billed_cost__out_of_range"),
        ("-1000000000000", "billed_cost__out_of_range"),
        ("1e400", "billed_cost__out_of_range"),
        (True, "billed_cost__not_a_decimal"),
        ([], "billed_cost__not_a_decimal"),
    ],
)
def test_money_that_is_no_decimal_in_range_is_quarantined(tmp_path: Path, value: object, reason: str) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_cost(value), openai_cost("2")))))
    assert parsed.reasons == [reason]
    assert exact_sum(parsed.charges["billed_cost"]) == 2


@pytest.mark.parametrize("text", ["1_000", " 1", "$1", "1,5", "0x1", "\u0661", "1.2.3", "--1", "1e", "12.3456789012345678901"])
def test_money_text_in_any_other_spelling_is_quarantined(tmp_path: Path, text: str) -> None:
    result = openai_cost(None) | {"amount": {"value": text, "currency": "usd"}}
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(result))))
    assert parsed.charges.height == 0
    assert parsed.reasons[0].startswith("billed_cost__")


def test_the_tail_of_a_float_is_rounded_at_the_eighteenth_decimal_and_kept(tmp_path: Path) -> None:
    values = ["1.3500000000000001e-05", "2.5e-18", "3.5e-18", "1e-19"]
    charges = read(parse, save(tmp_path, openai_page(openai_bucket(*map(openai_cost, values))))).charges
    assert charges["billed_cost"].to_list() == [Decimal("0.0000135"), Decimal("2e-18"), Decimal("4e-18"), 0]


@pytest.mark.parametrize(
    ("currency", "reason"), [(None, "missing"), ("", "missing"), ("dollar", "not_iso_4217"), (5, "not_text")]
)
def test_a_currency_that_is_none_is_quarantined(tmp_path: Path, currency: object, reason: str) -> None:
    cell = number("5") if currency == 5 else currency
    result = openai_cost("1") | {"amount": {"value": number("1"), "currency": cell}}
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(result))))
    assert parsed.charges.height == 0
    assert f"billing_currency__{reason}" in parsed.reasons[0].split(",")


def test_all_reasons_of_a_row_are_named_and_its_text_is_kept(tmp_path: Path) -> None:
    result = openai_cost("1") | {"amount": None, "project_id": number("12.50"), "quantity": "many"}
    quarantine = read(parse, save(tmp_path, openai_page(openai_bucket(result)))).quarantine
    row = quarantine.row(0, named=True)
    assert set(row["reasons"].split(",")) == {
        "billed_cost__missing",
        "billing_currency__missing",
        "sub_account_id__not_text",
        "consumed_quantity__not_a_decimal",
    }
    assert loads(row["raw_text"]) == result
    assert '"project_id":12.50' in row["raw_text"]
    assert (row["raw_ordinal"], row["object_key"]) == (1, CONTEXT.object_key)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_tokens": None}, "reported_input_tokens__missing"),
        ({"input_tokens": number("-1")}, "reported_input_tokens__negative"),
        ({"output_tokens": number("10.5")}, "reported_output_tokens__not_whole"),
        ({"output_tokens": number("1e14")}, "reported_output_tokens__out_of_range"),
        ({"num_model_requests": "many"}, "requests_count__not_a_number"),
        ({"input_cached_tokens": number("1001")}, "cache_read_tokens__more_than_input"),
        ({"input_cache_write_tokens": number("601")}, "cache_read_tokens__more_than_input"),
        ({"model": number("5")}, "model_raw__not_text"),
        ({"model": "\ud800"}, "model_raw__unreadable_text"),
        ({"user_id": "a\0b"}, "user_id__unreadable_text"),
    ],
)
def test_counts_and_names_that_cannot_be_are_quarantined(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_usage(**fields), openai_usage(user_id="fine")))))
    assert reason in parsed.reasons[0].split(",")
    assert parsed.usage["user_id"].to_list() == ["fine"]


@pytest.mark.parametrize("spelling", ["10", "10.0", "1e1", "10.000"])
def test_a_count_in_any_whole_spelling_is_read(tmp_path: Path, spelling: str) -> None:
    for cell in (number(spelling), spelling):
        usage = read(parse, save(tmp_path, openai_page(openai_bucket(openai_usage(output_tokens=cell))))).usage
        assert usage["reported_output_tokens"].to_list() == [10]


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (FIRST_SECOND + 63_060, FIRST_SECOND + DAY_SECONDS, "bucket__cut_at_start"),
        (FIRST_SECOND, FIRST_SECOND + 2 * DAY_SECONDS, "bucket__beyond_its_cell"),
        (FIRST_SECOND, FIRST_SECOND, "bucket__beyond_its_cell"),
        (FIRST_SECOND * 1000, FIRST_SECOND * 1000 + 1, "start_time__not_unix_seconds"),
        (-1, FIRST_SECOND, "start_time__negative"),
        (FIRST_SECOND + 60 * DAY_SECONDS, FIRST_SECOND + 61 * DAY_SECONDS, "bucket__in_the_future"),
    ],
)
def test_a_bucket_without_its_whole_cell_is_quarantined_and_covers_nothing(
    tmp_path: Path, start: int, end: int, reason: str
) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_cost("1"), start=start, end=end))))
    assert reason in parsed.reasons[0].split(",")
    assert parsed.charges.height == 0
    assert parsed.covered == []


def test_a_bucket_cut_at_its_end_stands_for_its_whole_cell(tmp_path: Path) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_cost("1"), end=FIRST_SECOND + 63_063))))
    assert parsed.charges["charge_period_end"].item() == dt.datetime(2026, 10, 2, tzinfo=dt.UTC)
    assert parsed.covered[0].bucket_key == "org-1/costs/2026-10-01T00:00:00Z/1d"


def test_hourly_usage_buckets_are_told_by_their_width(tmp_path: Path) -> None:
    hours = [
        openai_bucket(openai_usage(), start=FIRST_SECOND + hour * 3600, end=FIRST_SECOND + (hour + 1) * 3600) for hour in (0, 23)
    ]
    last = openai_bucket(openai_usage(), start=FIRST_SECOND + DAY_SECONDS, end=FIRST_SECOND + DAY_SECONDS + 600)
    parsed = read(parse, save(tmp_path, openai_page(*hours, last)))
    assert [bucket.bucket_key[-23:] for bucket in parsed.covered] == [
        "2026-10-01T00:00:00Z/1h",
        "2026-10-01T23:00:00Z/1h",
        "2026-10-02T00:00:00Z/1h",
    ]
    assert parsed.usage["ended_at"].to_list()[-1] == dt.datetime(2026, 10, 2, 1, tzinfo=dt.UTC)


def test_daily_usage_is_daily_although_the_running_day_is_cut(tmp_path: Path) -> None:
    running = openai_bucket(openai_usage(), day=1, end=FIRST_SECOND + DAY_SECONDS + 1800)
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_usage()), running)))
    assert parsed.usage["ended_at"].to_list() == [
        dt.datetime(2026, 10, 2, tzinfo=dt.UTC),
        dt.datetime(2026, 10, 3, tzinfo=dt.UTC),
    ]


def test_one_broken_bucket_does_not_change_the_width_of_the_others(tmp_path: Path) -> None:
    hour = openai_bucket(openai_usage(), start=FIRST_SECOND + 3600, end=FIRST_SECOND + 7200)
    broken = openai_bucket(openai_usage()) | {"start_time": None}
    parsed = read(parse, save(tmp_path, openai_page(broken, hour)))
    assert parsed.usage.height == 1
    assert parsed.reasons == ["start_time__missing"]


def test_the_raw_text_of_a_staged_row_can_be_looked_up(tmp_path: Path) -> None:
    pages = [openai_page(openai_bucket(openai_cost(f"{day}.50"), day=day)) for day in (1, 2)]
    batches = read(parse, save(tmp_path, *pages)).batches
    assert '"value":2.50' in batches[1].raw_text(2)


def test_usage_may_be_the_authoritative_source() -> None:
    context = replace(CONTEXT, role="usage")
    assert read(parse, USAGE, context).usage["source_role"].unique().to_list() == ["usage"]
