"""Anthropic pages become charges and bucket usage: cents become dollars exactly, or a row is refused by name."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import (
    FIRST_DAY,
    RECORDED,
    anthropic_bucket,
    anthropic_cost,
    anthropic_page,
    anthropic_usage,
    number,
    read,
    save,
    total,
)
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.anthropic.parse import parse

COSTS = RECORDED / "anthropic" / "cost_report_page.json"
USAGE = RECORDED / "anthropic" / "usage_messages_page.json"


def test_cents_become_dollars_with_every_digit() -> None:
    charges = read(parse, COSTS).charges
    assert charges["billed_cost"].to_list() == [
        Decimal("1.2345"),
        Decimal("1e-18"),
        Decimal("412.80"),
        Decimal("0.07"),
        Decimal("10.005"),
        Decimal("0.30"),
        Decimal(-250),
        Decimal("0.125"),
        Decimal("0.08"),
    ]
    for copied in ("effective_cost", "list_cost", "contracted_cost"):
        assert charges[copied].equals(charges["billed_cost"])
    assert charges["is_list_cost_estimated"].all()


def test_an_amount_is_in_the_smallest_unit_of_its_own_currency(tmp_path: Path) -> None:
    results = [anthropic_cost("123.45") | {"currency": currency} for currency in ("USD", "JPY", "KWD")]
    charges = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(*results)))).charges
    assert charges.select("billing_currency", "billed_cost").rows() == [
        ("USD", Decimal("1.2345")),
        ("JPY", Decimal("123.45")),
        ("KWD", Decimal("0.12345")),
    ]


def test_token_types_models_and_tiers_are_named() -> None:
    charges = read(parse, COSTS).charges
    assert charges.select("token_class", "sku_meter", "model_raw", "processing").rows() == [
        ("input_uncached_tokens", "uncached_input_tokens", "claude-opus-5", "standard"),
        ("cache_read_tokens", "cache_read_input_tokens", "claude-opus-5", "batch"),
        ("cache_write_5m_tokens", "cache_creation.ephemeral_5m_input_tokens", "claude-opus-5", "standard"),
        ("cache_write_1h_tokens", "cache_creation.ephemeral_1h_input_tokens", "claude-opus-5", "standard"),
        ("output_tokens", "output_tokens", "claude-opus-5", "standard"),
        (None, "web_search", None, None),
        (None, None, None, None),
        (None, "code_execution", None, None),
        (None, "session_usage", None, None),
    ]


def test_a_credit_keeps_its_sign_and_the_default_workspace_is_null() -> None:
    charges = read(parse, COSTS).charges
    credit = charges.filter(charge_category="Credit")
    assert credit.select("charge_description", "sub_account_id", "billed_cost").rows() == [
        ("Service credit", None, Decimal(-250))
    ]
    assert charges["sub_account_id"].to_list()[0] == "wrkspc_01"
    assert charges["provider_name"].unique().to_list() == ["anthropic"]
    assert charges["bucket_key"].to_list()[0] == "org-1/cost_report/2026-10-01T00:00:00Z/1d"


def test_empty_days_are_covered_in_both_reports() -> None:
    assert [bucket.day for bucket in read(parse, COSTS).covered] == [FIRST_DAY + dt.timedelta(days=offset) for offset in range(3)]
    usage = read(parse, USAGE)
    assert [(bucket.table_name, bucket.day) for bucket in usage.covered] == [
        ("staged_usage", FIRST_DAY + dt.timedelta(days=offset)) for offset in range(2)
    ]


def test_usage_counts_cache_beside_input() -> None:
    usage = read(parse, USAGE).usage
    first, second = usage.iter_rows(named=True)
    assert first["token_convention"] == "cache_beside_input"
    assert (first["reported_input_tokens"], first["cache_read_tokens"]) == (1500, 200)
    assert (first["cache_write_tokens"], first["cache_write_1h_tokens"]) == (1500, 1000)
    assert (first["reported_output_tokens"], first["requests_count"]) == (500, 0)
    assert (first["host_raw"], first["project_id"], first["api_key_id"], first["region"]) == (
        "anthropic",
        "wrkspc_01",
        "apikey_01",
        "us",
    )
    assert (second["processing"], second["project_id"], second["api_key_id"]) == ("priority", None, None)


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (None, "billed_cost__missing"),
        ("", "billed_cost__missing"),
        ("1e14", "billed_cost__out_of_range"),
        ("0.12345678901234567", "billed_cost__too_many_decimals"),
        ("12,5", "billed_cost__not_a_decimal"),
        (["1"], "billed_cost__not_a_decimal"),
    ],
)
def test_money_that_is_no_decimal_in_range_is_quarantined(tmp_path: Path, amount: object, reason: str) -> None:
    parsed = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(anthropic_cost(amount), anthropic_cost("100")))))
    assert parsed.reasons == [reason]
    assert parsed.charges["billed_cost"].to_list() == [Decimal(1)]


def test_a_cost_row_without_its_amount_is_quarantined_beside_good_ones(tmp_path: Path) -> None:
    bare = {name: cell for name, cell in anthropic_cost("1").items() if name != "amount"}
    parsed = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(bare, anthropic_cost("100")))))
    assert parsed.reasons == ["billed_cost__missing"]


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"start": "2026-10-01T00:00:00"}, "starting_at__without_offset"),
        ({"start": "yesterday"}, "starting_at__not_rfc_3339"),
        ({"start": "2026-10-01T17:31:00Z"}, "bucket__cut_at_start"),
        ({"start": "1999-10-01T00:00:00Z"}, "starting_at__out_of_range"),
        ({"end": "2026-10-03T00:00:00Z"}, "bucket__beyond_its_cell"),
    ],
)
def test_a_bucket_without_readable_bounds_is_quarantined(tmp_path: Path, bounds: dict[str, str], reason: str) -> None:
    parsed = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(anthropic_cost("1"), **bounds))))
    assert parsed.reasons == [reason]
    assert parsed.covered == []


def test_an_offset_is_turned_into_utc(tmp_path: Path) -> None:
    bucket = anthropic_bucket(anthropic_cost("1"), start="2026-10-01T02:00:00+02:00", end="2026-10-02T02:00:00+02:00")
    assert read(parse, save(tmp_path, anthropic_page(bucket))).charges["charge_date"].to_list() == [FIRST_DAY]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"uncached_input_tokens": None}, "reported_input_tokens__missing"),
        ({"output_tokens": number("-5")}, "reported_output_tokens__negative"),
        ({"cache_creation": number("5")}, "cache_write_tokens__not_an_object"),
        ({"cache_creation": {"ephemeral_5m_input_tokens": number("1.5")}}, "cache_write_tokens__not_whole"),
        ({"workspace_id": number("1")}, "project_id__not_text"),
    ],
)
def test_usage_that_cannot_be_is_quarantined(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    parsed = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(anthropic_usage(**fields), anthropic_usage()))))
    assert parsed.reasons == [reason]
    assert parsed.usage.height == 1


@pytest.mark.parametrize(
    ("fields", "user_id"),
    [
        ({"account_id": "user_1", "service_account_id": None}, "user_1"),
        ({"account_id": None, "service_account_id": "svac_1"}, "svac_1"),
        ({}, None),
    ],
)
def test_the_account_that_signed_in_is_the_user(tmp_path: Path, fields: dict[str, object], user_id: str | None) -> None:
    usage = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(anthropic_usage(**fields))))).usage
    assert usage["user_id"].to_list() == [user_id]


@pytest.mark.parametrize("absent", [None, {}])
def test_usage_without_cache_writes_wrote_none(tmp_path: Path, absent: object) -> None:
    usage = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(anthropic_usage(cache_creation=absent))))).usage
    assert usage.select("cache_write_tokens", "cache_write_1h_tokens").rows() == [(0, 0)]


def test_a_tier_without_a_price_class_of_its_own_counts_as_standard(tmp_path: Path) -> None:
    results = [anthropic_usage(service_tier=tier) for tier in ("batch", "flex_discount", "priority_on_demand", None)]
    usage = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(*results)))).usage
    assert usage["processing"].to_list() == ["batch", "standard", "standard", "standard"]


def test_rows_that_differ_only_in_context_window_are_two_events(tmp_path: Path) -> None:
    results = [anthropic_usage(context_window=window) for window in ("0-200k", "200k-1M", "200k-1M")]
    events = read(parse, save(tmp_path, anthropic_page(anthropic_bucket(*results)))).usage["event_id"].to_list()
    assert len(set(events)) == 3
    assert events[2] == f"{events[1]}#2"


@pytest.mark.parametrize(
    "page",
    [
        anthropic_page(anthropic_bucket(anthropic_cost("1"), anthropic_usage())),
        anthropic_page(anthropic_bucket({**anthropic_cost("1"), **anthropic_usage()})),
        anthropic_page(anthropic_bucket({"spent": "1"})),
        anthropic_page({"starting_at": "2026-10-01T00:00:00Z", "group": {}, "cost": {"amount": "1"}, "usage": {}}),
        {"data": {}, "has_more": False},
        {"type": "error", "error": {"type": "authentication_error"}},
    ],
    ids=[
        "two reports",
        "a result of two reports",
        "unknown results",
        "flat row of two reports",
        "data is no list",
        "error answer",
    ],
)
def test_what_is_no_page_of_a_known_report_is_refused_whole(tmp_path: Path, page: object) -> None:
    with pytest.raises(UnreadableDeliveryError):
        read(parse, save(tmp_path, page))


cents = st.decimals(allow_nan=False, allow_infinity=False, places=16, min_value=-(10**11), max_value=10**11)
names = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=50)
@given(st.lists(st.tuples(cents, st.sampled_from(["{:f}", "{:e}", "{}"]), st.booleans(), names), max_size=12))
def test_charges_add_up_to_a_hundredth_of_the_cents_sent(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[Decimal, str, bool, str | None]]
) -> None:
    results = [
        anthropic_cost(
            number(spelling.format(amount)) if is_number else spelling.format(amount),
            workspace_id=name,
            description=name,
            token_type="output_tokens",
            context_window="0-200k",
            model=name,
            service_tier="standard",
            inference_geo="us",
            speed="fast",
        )
        for amount, spelling, is_number, name in lines
    ]
    pull = {"usage_etl_pull": {"dataset": "cost_report"}}
    parsed = read(parse, save(tmp_path_factory.mktemp("pages"), pull, anthropic_page(anthropic_bucket(*results))))
    assert parsed.reasons == []
    assert total(parsed.charges["billed_cost"]) * 100 == total(amount for amount, *_ in lines)
    assert parsed.charges.filter((pl.col("billed_cost") < 0) != (pl.col("charge_category") == "Credit")).is_empty()
