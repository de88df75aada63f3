"""Quotas, budgets and purchases as files: every fault by name, all at once; a budget is a quota and is stated once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from usage_etl.config.directory import read_directories
from usage_etl.config.quotas import QuotaSettings
from usage_etl.errors import DirectoryError
from usage_etl.schemas import DIM_BUDGET, DIM_ENTITLEMENT, DIM_QUOTA

QUOTAS = "scope_kind,scope_id,measure,period_kind,limit_quantity,currency,enforcement,valid_from,valid_to\n"
PURCHASES = "purchase_id,pool_id,scope_kind,scope_id,token_kind,purchased_tokens,renewal,valid_from,valid_to\n"
BUDGETS = "scope_kind,scope_id,monthly_budget,currency,valid_from,valid_to\n"


def read(tmp_path: Path, **files: str) -> dict[str, pl.DataFrame]:
    headers = {"quotas": QUOTAS, "entitlements": PURCHASES, "budgets": BUDGETS}
    for name, rows in files.items():
        (tmp_path / f"{name}.csv").write_text(headers[name] + rows, encoding="utf-8")
    return read_directories(tmp_path)


def problems_of(tmp_path: Path, **files: str) -> tuple[str, ...]:
    with pytest.raises(DirectoryError) as error:
        read(tmp_path, **files)
    return error.value.problems


def test_a_budget_is_a_soft_quota_of_the_calendar_month(tmp_path: Path) -> None:
    frames = read(tmp_path, budgets="team,web,1000.10,EUR,2026-02-29,\n".replace("02-29", "02-28"))
    assert frames[DIM_QUOTA.name].rows() == [
        ("team", "web", "effective_cost", "calendar_month", Decimal("1000.10"), "EUR", "soft", dt.date(2026, 2, 28), None)
    ]
    assert frames[DIM_BUDGET.name].height == 1


def test_a_limit_of_trillions_of_tokens_is_read_exactly(tmp_path: Path) -> None:
    frames = read(tmp_path, quotas="organization,me,total_tokens,billing_month,123456789012345678,,hard,2026-01-01,\n")
    assert frames[DIM_QUOTA.name]["limit_quantity"].to_list() == [Decimal(123456789012345678)]


def test_the_currency_may_be_left_out_of_the_header_where_no_money_is_limited(tmp_path: Path) -> None:
    text = QUOTAS.replace("currency,", "") + "user,ada,requests_count,day,0,hard,2026-01-01,\n"
    (tmp_path / "quotas.csv").write_text(text, encoding="utf-8")
    assert read_directories(tmp_path)[DIM_QUOTA.name]["currency"].to_list() == [None]


QUOTA_FAULTS = [
    ("user,ada,total_tokens,day,-1,,hard,2026-01-01,\n", "quotas.csv line 2: limit_quantity '-1' is below 0"),
    ("user,ada,total_tokens,day,1e18,,hard,2026-01-01,\n", "quotas.csv line 2: limit_quantity: amount out of range: '1e18'"),
    ("user,ada,total_tokens,day,NaN,,hard,2026-01-01,\n", "quotas.csv line 2: limit_quantity: not a decimal number: 'NaN'"),
    ("user,,total_tokens,day,1,,hard,2026-01-01,\n", "quotas.csv line 2: scope_id is empty"),
    (
        "user,ada,total_tokens,week,1,,hard,2026-01-01,\n",
        "quotas.csv line 2: period_kind 'week' is not known; allowed are day, calendar_month, billing_month",
    ),
    (
        "model,gpt,total_tokens,day,1,,hard,2026-01-01,\n",
        "quotas.csv line 2: scope_kind 'model' is not known; allowed are organization, department, team, user, api_key, feature",
    ),
    (
        "user,ada,total_tokens,day,1.5,,hard,2026-01-01,\n",
        "quotas.csv line 2: user/ada/total_tokens/day/hard limits total_tokens at 1.5; it is counted in whole numbers",
    ),
    (
        "user,ada,effective_cost,day,1.5,,hard,2026-01-01,\n",
        "quotas.csv line 2: user/ada/effective_cost/day/hard limits effective_cost and names no currency",
    ),
    (
        "user,ada,requests_count,day,1,USD,hard,2026-01-01,\n",
        "quotas.csv line 2: user/ada/requests_count/day/hard limits requests_count, which has no currency, and names USD",
    ),
    (
        "user,ada,requests_count,day,1,,hard,2026-01-01,2026-03-01\nuser,ada,requests_count,day,2,,hard,2026-02-28,\n",
        "quotas.csv: user/ada/requests_count/day/hard has 2 rows in force on 2026-02-28",
    ),
    (
        "user,ada,requests_count,day,1,,hard,2026-01-02,2026-01-02\n",
        "quotas.csv line 2: user/ada/requests_count/day/hard ends on 2026-01-02, not after its start 2026-01-02",
    ),
]


@pytest.mark.parametrize(("rows", "problem"), QUOTA_FAULTS, ids=[problem[:70] for _, problem in QUOTA_FAULTS])
def test_a_fault_of_a_quota_is_named(tmp_path: Path, rows: str, problem: str) -> None:
    assert problems_of(tmp_path, quotas=rows) == (problem,)


def test_a_soft_and_a_hard_limit_of_one_scope_are_two_quotas(tmp_path: Path) -> None:
    rows = "team,web,total_tokens,day,8,,soft,2026-01-01,\nteam,web,total_tokens,day,10,,hard,2026-01-01,\n"
    assert read(tmp_path, quotas=rows)[DIM_QUOTA.name].height == 2


def test_a_budget_that_is_stated_as_a_quota_too_is_named_with_its_days(tmp_path: Path) -> None:
    rows = "team,web,effective_cost,calendar_month,8,USD,soft,2026-01-01,2026-02-01\n"
    assert problems_of(tmp_path, quotas=rows, budgets="team,web,9,USD,2026-01-15,\n") == (
        "quotas.csv and budgets.csv: team/web/effective_cost/calendar_month/soft stands in both on 2026-01-15 to 2026-01-31",
    )


PURCHASE_FAULTS = [
    (
        "p1,main,organization,me,inference,1.5,once,2026-01-01,\n",
        "entitlements.csv line 2: purchased_tokens: not a whole number: '1.5'",
    ),
    ("p1,main,organization,me,inference,-5,once,2026-01-01,\n", "entitlements.csv line 2: purchased_tokens '-5' is below 0"),
    (
        "p1,main,organization,me,training,5,once,2026-01-01,\n",
        "entitlements.csv line 2: token_kind 'training' is not known; allowed are inference, embedding",
    ),
    (
        "p1,main,organization,me,inference,5,once,2026-01-01,\np1,main,organization,me,inference,5,once,2026-02-01,\n",
        "entitlements.csv: p1 has 2 rows in force from 2026-02-01 on",
    ),
    (
        "p1,main,organization,me,inference,5,once,2026-01-01,\np2,main,team,web,embedding,5,once,2026-01-01,2026-01-02\n",
        "entitlements.csv: pool main serves organization/me and team/web on 2026-01-01; a pool serves one scope",
    ),
    (
        "p1,main,organization,me,inference,5,once,2026-01-01,\np2,more,organization,me,inference,5,once,2026-01-01,2026-01-02\n",
        "entitlements.csv: inference tokens of organization/me come from main and more on 2026-01-01; name one pool",
    ),
]


@pytest.mark.parametrize(("rows", "problem"), PURCHASE_FAULTS, ids=[problem[:70] for _, problem in PURCHASE_FAULTS])
def test_a_fault_of_a_purchase_is_named(tmp_path: Path, rows: str, problem: str) -> None:
    assert problems_of(tmp_path, entitlements=rows) == (problem,)


def test_purchases_of_one_pool_add_up_and_may_pause(tmp_path: Path) -> None:
    rows = (
        "p1,main,organization,me,inference,1e9,once,2026-01-01,2026-02-01\np1,main,organization,me,inference,5,once,2026-03-01,\n"
    )
    more = "p2,main,organization,me,inference,7,calendar_month,2026-01-15,\n"
    assert sorted(read(tmp_path, entitlements=rows + more)[DIM_ENTITLEMENT.name]["purchased_tokens"]) == [5, 7, 10**9]


def test_all_faults_of_all_three_files_are_named_at_once(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        quotas="user,ada,total_tokens,day,-1,,hard,2026-01-01,\n",
        budgets="team,web,x,USD,2026-01-01,\n",
        entitlements="p1,main,user,ada,inference,5,once,2026-01-01,\n",
    )
    assert [problem.split(" ")[0] for problem in found] == ["budgets.csv", "quotas.csv", "entitlements.csv"]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"billing_day": 29}, "less than or equal to 28"),
        ({"billing_day": 0}, "greater than or equal to 1"),
        ({"never_block": ("ada",)}, "'ada' is no scope; write team:<id>, user:<id>, api_key:<id>"),
        ({"never_block": ("feature:x",)}, "is no scope"),
        ({"gateway_url": "ftp://gateway"}, "must begin with https:// or http://"),
        ({"gateway_url": "https://gateway"}, "gateway_url needs gateway_admin_key"),
        ({"gateway_mode": "block"}, "Input should be 'dry_run', 'limits' or 'blocks'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(keys: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        QuotaSettings.model_validate(keys)
