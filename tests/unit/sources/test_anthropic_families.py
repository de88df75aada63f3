"""Report families keep apart: one family's day replaces another's, and what would not add up is refused by name."""

import datetime as dt
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.analytics_rows import USER, context_of, flat_cost, flat_page, flat_usage
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
from usage_etl.sources.anthropic.families import ALLOWED, REPORTS
from usage_etl.sources.anthropic.parse import parse
from usage_etl.sources.anthropic.settings import Family

FOLDER = RECORDED / "anthropic"
ACTORS = [
    (USER, ("user_01", None)),
    ({**USER, "deleted": True, "email_address": None, "name": "Deleted User"}, ("user_01", None)),
    ({"type": "service_account_actor", "service_account_id": "svac_1"}, ("svac_1", None)),
    ({"type": "api_actor", "api_key_id": "apikey_9"}, (None, "apikey_9")),
    (
        {"type": "federated_actor", "subject": "arn:aws:iam::1:role/x", "provider": {"type": "aws"}},
        ("arn:aws:iam::1:role/x", None),
    ),
    ({"type": "federated_actor", "subject": None, "provider": {"type": "gcp"}}, (None, None)),
    ({"type": "actor_of_tomorrow", "id": "x"}, (None, None)),
    (None, (None, None)),
]


def one(parsed: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = (parsed.charges if parsed.charges.height else parsed.usage).rows(named=True)
    assert len(rows) == 1
    return rows[0]


def test_an_amount_of_fractional_cents_keeps_its_list_price_apart(tmp_path: Path) -> None:
    row = one(read(parse, save(tmp_path, flat_page(flat_cost("123.45", list_amount="150.0000000000000001")))))
    assert (row["billed_cost"], row["contracted_cost"]) == (Decimal("1.2345"), Decimal("1.2345"))
    assert row["list_cost"] == Decimal("1.500000000000000001")
    assert not row["is_list_cost_estimated"]


@pytest.mark.parametrize(("actor", "expected"), ACTORS)
def test_actors_become_users_or_keys_and_keep_neither_name_nor_address(
    tmp_path: Path, actor: Any, expected: tuple[str | None, str | None]
) -> None:
    for row in (flat_cost("1", actor=actor), flat_usage(actor=actor)):
        parsed = read(parse, save(tmp_path, flat_page(row)))
        assert (one(parsed)["user_id"], one(parsed)["api_key_id"]) == expected
        assert "ada@example.com" not in str(one(parsed))


def test_the_key_of_the_request_wins_over_a_key_that_is_the_actor(tmp_path: Path) -> None:
    row = flat_usage(actor={"type": "api_actor", "api_key_id": "apikey_9"}, api_key_id="apikey_1")
    assert one(read(parse, save(tmp_path, flat_page(row))))["api_key_id"] == "apikey_1"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "service_tier": "standard"}, "fast"),
        ({"speed": "fast", "service_tier": "batch"}, "batch"),
        ({"speed": "standard", "service_tier": "priority"}, "priority"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "flex_discount"}, "standard"),
    ],
)
def test_speed_and_tier_name_the_price_class(tmp_path: Path, fields: dict[str, str], expected: str) -> None:
    assert one(read(parse, save(tmp_path, flat_page(flat_usage(**fields)))))["processing"] == expected


def test_dimensions_fill_columns_or_tags(tmp_path: Path) -> None:
    row = one(
        read(
            parse,
            save(
                tmp_path,
                flat_page(
                    flat_usage(
                        workspace_id="wrkspc_1", product="claude_code", session_id="sesn_1", inference_geo="us",
                        context_window="200k-1M", user_profile_id="uprof_1", agent_id="agent,1", slack_channel_id="C1",
                        service_tier="priority_on_demand", requests=number("7"), searches="6",
                    )
                ),
            ),
        )
    )  # fmt: skip
    columns = ("project_id", "feature_id", "session_id", "region", "context_min_tokens", "end_user_id", "requests_count")
    assert [row[name] for name in columns] == ["wrkspc_1", "claude_code", "sesn_1", "us", 200_000, "uprof_1", 7]
    assert row["tag_set"] == "agent_id=agent%2C1,service_tier=priority_on_demand,slack_channel_id=C1"
    assert (row["native_unit"], row["native_quantity"], row["reported_total_tokens"]) == ("web_searches", 6, 24)


def test_meters_that_no_model_has_and_meters_that_nobody_knows_are_told_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        flat_cost("1", cost_type="tokens", token_type="output_tokens"),
        flat_cost("1", cost_type="web_search", model=None),
        flat_cost("1", cost_type="session_usage", model=None),
        flat_cost("1", cost_type="tokens", token_type="cache_creation.ephemeral_7d_input_tokens"),
        flat_cost("1", model=None),
        flat_cost("-1", model=None),
    ]
    with caplog.at_level(logging.WARNING):
        charges = read(parse, save(tmp_path, flat_page(*rows))).charges
    assert charges["meter_mapping"].to_list() == [None, "not_usage", "not_usage", "unmapped", "unmapped", "not_usage"]
    assert "unmapped_meters_count=2 unmapped_meters=(no name); cache_creation.ephemeral_7d_input_tokens" in caplog.text


def test_rows_of_one_day_may_stand_on_several_pages_and_twins_are_both_kept(tmp_path: Path) -> None:
    pages = [flat_page(flat_usage(), flat_usage(day=1), next_page="b"), flat_page(flat_usage(), flat_usage(day=1, actor=USER))]
    parsed = read(parse, save(tmp_path, *pages))
    assert parsed.usage.height == 4
    assert parsed.usage["event_id"].n_unique() == 4
    assert sorted(parsed.usage["event_id"].to_list()[::2], key=len)[1].endswith("#2")
    assert [bucket.day for bucket in parsed.covered] == [FIRST_DAY, FIRST_DAY + dt.timedelta(days=1)]


def test_a_page_that_stands_twice_counts_once(tmp_path: Path) -> None:
    page = flat_page(flat_cost("1"), flat_cost("1"))
    parsed = read(parse, save(tmp_path, page, page))
    assert parsed.charges.height == 2
    assert parsed.reasons == ["page__repeated"] * 2


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"ending_at": "2026-10-31T00:00:00Z"}, "bucket__beyond_its_cell"),
        ({"starting_at": "2026-10-01T05:00:00Z"}, "bucket__cut_at_start"),
        ({"starting_at": None}, "starting_at__missing"),
    ],
)
def test_a_row_of_a_whole_range_has_no_day_and_is_refused(tmp_path: Path, bounds: dict[str, Any], reason: str) -> None:
    parsed = read(parse, save(tmp_path, flat_page(flat_cost("1") | bounds)))
    assert reason in parsed.reasons[0].split(",")
    assert parsed.covered == []


def test_a_pull_answers_for_days_without_rows_and_says_when_its_data_was_made(tmp_path: Path) -> None:
    asked = {
        "dataset": "analytics_cost",
        "first_day": "2026-10-01",
        "last_day": "2026-10-03",
        "pulled_at": "2026-10-31T06:00:00Z",
        "parameters": [["time_bucket_width", "1d"]],
    }
    page = flat_page(flat_cost("1", day=1), refreshed_at="2026-10-30T05:00:00Z")
    parsed = read(parse, save(tmp_path, {"usage_etl_pull": asked}, page))
    assert [bucket.day for bucket in parsed.covered] == [FIRST_DAY + dt.timedelta(days=offset) for offset in range(3)]
    assert {bucket.version_at for bucket in parsed.covered} == {dt.datetime(2026, 10, 30, 5, tzinfo=dt.UTC)}
    empty = read(parse, save(tmp_path, {"usage_etl_pull": asked}, flat_page()))
    assert [bucket.version_at for bucket in empty.covered] == [dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC)] * 3


@pytest.mark.parametrize(
    ("first_day", "last_day"), [("2026-10-02", "2026-10-01"), ("0001-01-01", "9999-12-31"), ("2026-10-01", "2026-12-01")]
)
def test_a_first_line_that_no_pull_of_ours_wrote_is_refused(tmp_path: Path, first_day: str, last_day: str) -> None:
    asked = {
        "dataset": "analytics_cost",
        "first_day": first_day,
        "last_day": last_day,
        "parameters": [["x"], "y", 5, ["bucket_width", 7]],
    }
    with pytest.raises(UnreadableDeliveryError, match="none of ours"):
        read(parse, save(tmp_path, {"usage_etl_pull": asked}, flat_page()))


def test_a_pull_of_buckets_answers_for_those_that_it_names_only(tmp_path: Path) -> None:
    asked = {"dataset": "cost_report", "first_day": "2026-10-01", "last_day": "2026-10-03"}
    assert read(parse, save(tmp_path, {"usage_etl_pull": asked}, anthropic_page())).covered == []


def test_one_day_has_one_key_whatever_the_family(tmp_path: Path) -> None:
    pages = {
        "cost": [flat_page(flat_cost("1")), anthropic_page(anthropic_bucket(anthropic_cost("1"))),
                 anthropic_page(anthropic_bucket(anthropic_cost("1", list_amount="2")))],
        "usage": [flat_page(flat_usage()), anthropic_page(anthropic_bucket(anthropic_usage())),
                  anthropic_page(anthropic_bucket(anthropic_usage(product=None)))],
    }  # fmt: skip
    for of_one_kind in pages.values():
        assert len({read(parse, save(tmp_path, page)).covered[0].bucket_key for page in of_one_kind}) == 1


def test_a_bucket_of_a_hundred_groups_may_lack_some_and_is_refused(tmp_path: Path) -> None:
    def page(count: int) -> Any:
        rows = [anthropic_cost("1", model=f"m{index}", list_amount="1") for index in range(count)]
        return anthropic_page(anthropic_bucket(*rows), anthropic_bucket(anthropic_cost("1", list_amount="1"), day=1))

    full = read(parse, save(tmp_path, page(100)))
    assert full.reasons == ["bucket__may_lack_groups"] * 100
    assert [bucket.day for bucket in full.covered] == [FIRST_DAY + dt.timedelta(days=1)]
    assert read(parse, save(tmp_path, page(99))).reasons == []


@pytest.mark.parametrize(
    "page",
    [
        anthropic_page(anthropic_bucket(*(anthropic_cost("1", rbac_group_id=group) for group in (None, "rbac_group_1")))),
        anthropic_page(anthropic_bucket(anthropic_usage(rbac_group_id="rbac_group_1"))),
        flat_page(flat_cost("1"), flat_cost("1", rbac_group_id="rbac_group_1")),
    ],
)
def test_groups_that_overlap_refuse_the_file(tmp_path: Path, page: Any) -> None:
    with pytest.raises(UnreadableDeliveryError, match=r"rbac_group_id.*several groups"):
        read(parse, save(tmp_path, page))


USER_PAGE = flat_page({**flat_cost("1")["cost"], **flat_cost("1")["group"], "actor": USER, "starting_at": "2026-10-01T00:00:00Z",
                       "ending_at": "2026-10-02T00:00:00Z"})  # fmt: skip


def test_reports_of_users_only_are_read_where_the_settings_say_so(tmp_path: Path) -> None:
    path = save(tmp_path, USER_PAGE)
    with pytest.raises(
        UnreadableDeliveryError, match=r"analytics_user_cost_report.*family of this source is auto.*enterprise_users"
    ):
        read(parse, path)
    assert one(read(parse, path, context_of("enterprise_users")))["user_id"] == "user_01"


@pytest.mark.parametrize("family", get_args(Family))
def test_a_family_reads_its_own_reports_and_refuses_others(tmp_path: Path, family: Family) -> None:
    pages = {
        "cost_report": anthropic_page(anthropic_bucket(anthropic_cost("1"))),
        "usage_messages": anthropic_page(anthropic_bucket(anthropic_usage())),
        "analytics_cost_report": anthropic_page(anthropic_bucket(anthropic_cost("1", list_amount="1"))),
        "analytics_usage_report": anthropic_page(anthropic_bucket(anthropic_usage(requests=number("1")))),
        "analytics_user_cost_report": USER_PAGE,
        "analytics_cost": flat_page(flat_cost("1")),
        "analytics_usage": flat_page(flat_usage()),
    }
    readable = set()
    for dataset, page in pages.items():
        try:
            assert read(parse, save(tmp_path, page), context_of(family)).reasons == []
            readable.add(dataset)
        except UnreadableDeliveryError as error:
            assert f"family of this source is {family}" in str(error)  # noqa: PT017 - either outcome is right for some
    assert readable == ALLOWED[family] & pages.keys()
    assert ALLOWED[family] <= REPORTS.keys()


@pytest.mark.parametrize("name", ["analytics_cost_pages.jsonl", "analytics_usage_page.json", "analytics_cost_report_page.json"])
def test_recorded_pages_are_read_twice_the_same(name: str) -> None:
    first, second = read(parse, FOLDER / name), read(parse, FOLDER / name)
    assert first.reasons == []
    assert first.charges.equals(second.charges)
    assert first.usage.equals(second.usage)
    assert first.rows_read > 1


def test_recorded_groups_that_overlap_are_refused_and_ranges_without_days_are_quarantined() -> None:
    with pytest.raises(UnreadableDeliveryError, match="rbac_group_id"):
        read(parse, FOLDER / "analytics_cost_report_by_rbac_group.json")
    users = read(parse, FOLDER / "analytics_user_usage_page.json", context_of("enterprise_users"))
    assert users.usage["user_id"].to_list() == ["user_01Ada"]
    assert users.reasons == ["starting_at__missing,ending_at__missing"]


cents = st.decimals(allow_nan=False, allow_infinity=False, places=16, min_value=-(10**11), max_value=10**11)
tokens = st.sampled_from([None, "output_tokens", "uncached_input_tokens", "tomorrow_tokens"])


actors = st.sampled_from([actor for actor, _ in ACTORS])


@settings(max_examples=40)
@given(st.lists(st.tuples(cents, st.integers(0, 3), tokens, actors), max_size=15), st.integers(1, 6))
def test_flat_charges_add_up_however_they_are_paged(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[Decimal, int, str | None, Any]], per_page: int
) -> None:
    rows = [flat_cost(f"{amount:f}", day=day, token_type=kind, actor=actor) for amount, day, kind, actor in lines]
    pages = [flat_page(*rows[at : at + per_page]) for at in range(0, len(rows), per_page)]
    distinct = {str(page): page for page in pages}
    pull = {"usage_etl_pull": {"dataset": "analytics_cost"}}
    parsed = read(parse, save(tmp_path_factory.mktemp("pages"), pull, *distinct.values()))
    assert parsed.reasons == []
    assert total(parsed.charges["billed_cost"]) * 100 == total(
        Decimal(row["cost"]["amount"]) for page in distinct.values() for row in page["data"]
    )
