"""The assets of quotas, accounts and pools on a small lake; quotas on scopes that nobody knows are refused by name."""

import datetime as dt
from decimal import Decimal

import dagster as dg
import polars as pl
import pytest

from assets.quota_scopes import unknown_scopes
from tests.assets.installation import QUOTAS, Installation, failures
from tests.unit.quotas.samples import quota, quotas
from usage_etl.quotas.budgets import monthly_budgets
from usage_etl.schemas import (
    DIM_BUDGET,
    DIM_QUOTA,
    MART_ACCOUNTS,
    MART_POOLS,
    MART_QUOTA_STATUS,
    MART_TOKENS_MONTHLY,
    MART_USERS_DAILY,
)

LAST = dt.date(2026, 11, 2)
NOVEMBER = "2026-11-01"


def november(installation: Installation, table: object) -> pl.DataFrame:
    return installation.workspace.lake.scan(table, [NOVEMBER]).collect()  # type: ignore[arg-type]


def test_status_counts_what_the_facts_hold_and_projects_the_newest_day(built_once: Installation) -> None:
    status = november(built_once, MART_QUOTA_STATUS)
    by_quota = {row["quota_id"]: row for row in status.filter(pl.col("status_date") == LAST).to_dicts()}
    whole = by_quota["organization:acme:total_tokens:calendar_month:soft"]
    assert (whole["used_quantity"], whole["limit_quantity"], whole["used_ratio"]) == (9600, 20000, 0.48)
    assert (whole["linear_quantity"], whole["days_left_count"], whole["scope_name"]) == (144000, 28, "Acme")
    assert whole["projected_quantity"] >= 9600
    assert by_quota["user:user-1:inference_tokens:calendar_month:hard"]["used_ratio"] == 1.2
    assert by_quota["user:user-1:inference_tokens:calendar_month:hard"]["breach_probability_ratio"] == 1.0
    assert by_quota["team:team-1:effective_cost:billing_month:hard"]["currency"] == "USD"
    assert by_quota["team:team-1:effective_cost:billing_month:hard"]["used_quantity"] > 0
    assert status.filter(pl.col("status_date") < LAST)["linear_quantity"].null_count() == 3


def test_accounts_pools_and_months_agree(built_once: Installation) -> None:
    accounts = november(built_once, MART_ACCOUNTS)
    months = november(built_once, MART_TOKENS_MONTHLY)
    assert accounts["inference_tokens"].sum() == months.filter(pl.col("token_kind") == "inference")["total_tokens"].item() == 9600
    assert accounts["previous_inference_tokens"].null_count() == 4  # October is held from its 30th on
    assert accounts["lifetime_total_tokens"].sum() == 19200
    assert accounts.filter(pl.col("user_id") == "user-1")["allocation_status"].to_list() == ["over"]
    pool = november(built_once, MART_POOLS).to_dicts()[0]
    figures = [pool[f"{name}_tokens"] for name in ("purchased", "used", "remaining", "uncovered", "assigned")]
    assert figures == [12000, 12000, 0, 2400, 2000]
    assert november(built_once, MART_USERS_DAILY)["active_users_count"].to_list() == [4, 4]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("team,gone,total_tokens,day,1,,soft,2026-01-01,", "team gone is not known: it is not in teams.csv"),
        ("department,gone,total_tokens,day,1,,soft,2026-01-01,", "it is not in teams.csv or departments.csv"),
        ("organization,other,total_tokens,day,1,,soft,2026-01-01,", "organization other is not known: the settings name acme"),
        ("user,gone,total_tokens,day,1,,soft,2026-01-01,", "it is not in users.csv, and no usage names it"),
        (
            "api_key,gone,total_tokens,day,1,,soft,2026-01-01,",
            "api key gone is not known: it is not in api_keys.csv, and no usage",
        ),
        ("feature,gone,total_tokens,day,1,,soft,2026-01-01,", "it is not in features.csv, and no usage names it"),
    ],
)
def test_a_quota_on_a_scope_that_nobody_knows_is_named(built: Installation, row: str, fault: str) -> None:
    (built.folder / "directory" / "quotas.csv").write_text(f"{QUOTAS}{row}\n", encoding="utf-8")
    found = unknown_scopes(built.workspace, built.workspace.read_directories())
    assert len(found) == 1
    assert fault in found[0]


def test_a_load_that_names_an_unknown_scope_fails_and_the_last_good_quotas_stay(
    built: Installation, instance: dg.DagsterInstance
) -> None:
    before = built.workspace.table(DIM_QUOTA)
    (built.folder / "directory" / "quotas.csv").write_text(
        f"{QUOTAS}user,gone,total_tokens,day,1,,soft,2026-01-01,\nteam,away,total_tokens,day,1,,soft,2026-01-01,\n",
        encoding="utf-8",
    )
    result = built.run("land", instance)
    assert not result.success
    told = str(failures(result)["directories"].error)
    assert "user gone is not known" in told
    assert "team away is not known" in told
    after = built.workspace.table(DIM_QUOTA)
    assert after.equals(before)


def test_before_any_usage_only_what_directories_alone_know_is_judged(landed: Installation) -> None:
    (landed.folder / "directory" / "quotas.csv").write_text(
        f"{QUOTAS}user,early,total_tokens,day,1,,soft,2026-01-01,\nteam,gone,total_tokens,day,1,,soft,2026-01-01,\n",
        encoding="utf-8",
    )
    found = unknown_scopes(landed.workspace, landed.workspace.read_directories())
    assert [line.split(":")[1] for line in found] == [" team gone is not known"]


def test_a_budget_that_quotas_csv_states_stands_beside_the_projection() -> None:
    rows = quotas(
        quota("team:web", "effective_cost", 5),
        quota("team:web", "effective_cost", 6, enforcement="hard"),
        quota("team:web", "effective_cost", 7, period="billing_month"),
        quota("user:ada", "effective_cost", 8),
        quota("team:web", "total_tokens", 9),
    )
    assert monthly_budgets(rows)["monthly_budget"].to_list() == [5]
    assert DIM_BUDGET.validate(monthly_budgets(rows)).height == 1


def test_money_is_exact_in_the_status(built_once: Installation) -> None:
    status = november(built_once, MART_QUOTA_STATUS).filter(pl.col("measure") == "effective_cost")
    for used, limit, left in status.select("used_quantity", "limit_quantity", "remaining_quantity").iter_rows():
        assert isinstance(used, Decimal)
        assert left == max(limit - used, Decimal(0))


def test_the_demo_has_one_account_over_one_near_and_one_team_on_its_way(demo: Installation) -> None:
    accounts = november(demo, MART_ACCOUNTS)
    statuses = dict(
        accounts.filter(pl.col("allocation_status").is_in(["over", "near"])).select("allocation_status", "user_id").rows()
    )
    assert sorted(statuses) == ["near", "over"]
    status = november(demo, MART_QUOTA_STATUS).filter(pl.col("status_date") == dt.date(2026, 11, 19))
    hard = status.filter(pl.col("enforcement") == "hard")
    assert hard["scope_id"].to_list() == [statuses["over"]]
    assert hard["used_quantity"].item() > hard["limit_quantity"].item()
    team = status.filter(pl.col("scope_kind") == "team", pl.col("measure") == "total_tokens").to_dicts()[0]
    assert team["used_quantity"] < team["limit_quantity"] < team["linear_quantity"]
    assert team["projected_quantity"] > team["limit_quantity"]
    pools = {row["token_kind"]: row for row in november(demo, MART_POOLS).to_dicts()}
    assert {kind: row["is_over_assigned"] for kind, row in pools.items()} == {"inference": True, "embedding": False}
