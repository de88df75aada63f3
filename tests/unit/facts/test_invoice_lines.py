"""Invoice lines: nothing is lost, ids are stable, and each charge has the kind that its source means."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.facts.charge_kinds import CHARGE_KIND_RULES, charge_kind
from usage_etl.facts.invoice_lines import invoice_lines_month, named_tags
from usage_etl.periods import Month
from usage_etl.schemas import BILLING_CHARGES, FACT_INVOICE_LINES_MONTHLY
from usage_etl.schemas.chargeback import CHARGE_KINDS

NOVEMBER = Month(2026, 11)
_CHARGE: dict[str, Any] = {
    "source": "bills",
    "source_account": "org-1",
    "delivery_id": "d",
    "bucket_key": "b",
    "charge_date": dt.date(2026, 11, 3),
    "charge_period_start": dt.datetime(2026, 11, 3, tzinfo=dt.UTC),
    "charge_period_end": dt.datetime(2026, 11, 4, tzinfo=dt.UTC),
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "OpenAI API",
    "charge_category": "Usage",
    "is_list_cost_estimated": False,
    "billing_currency": "USD",
    "raw_ordinal": 0,
}
MONEYS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")


def charges(*rows: dict[str, Any]) -> pl.LazyFrame:
    full = [{**_CHARGE, **dict.fromkeys(MONEYS, row.get("billed_cost", Decimal(1))), **row} for row in rows]
    columns = {name: [row.get(name) for row in full] for name in BILLING_CHARGES.columns}
    return BILLING_CHARGES.validate(pl.DataFrame(columns, schema=dict(BILLING_CHARGES.polars_schema))).lazy()


def month_of(frame: pl.LazyFrame, *tag_keys: str, **flags: bool) -> pl.DataFrame:
    found = invoice_lines_month(frame, month=NOVEMBER, tag_keys=tag_keys, **flags)
    return FACT_INVOICE_LINES_MONTHLY.validate(FACT_INVOICE_LINES_MONTHLY.conform(found).collect())


@pytest.mark.parametrize(
    ("kind", "charge"),
    [
        ("usage", {}),
        ("usage", {"sku_meter": "web_search", "meter_mapping": "not_usage"}),
        ("usage", {"provider_name": "anthropic", "model_id": "claude-opus-5", "user_id": "ada"}),
        (
            "usage",
            {"provider_name": "aws", "sku_meter": "USE1-Claude4-input-tokens", "user_id": "arn:role"},
        ),
        ("usage", {"service_name": "Customer support assistant", "model_id": "gpt-5"}),
        ("tax", {"charge_category": "Tax", "service_name": "AWS Marketplace"}),
        ("credit", {"charge_category": "Credit", "provider_name": "github", "user_id": "ada"}),
        ("adjustment", {"charge_category": "Adjustment", "charge_description": "Refund of savings plan"}),
        ("support", {"provider_name": "aws", "service_name": "AWS Support (Business)", "charge_category": "Purchase"}),
        ("support", {"provider_name": "google", "service_name": "Enhanced Support"}),
        ("seat", {"provider_name": "github", "charge_category": "Purchase", "sku_meter": "User-Months", "user_id": "ada"}),
        ("seat", {"provider_name": "github", "charge_category": "Purchase", "sku_id": "copilot_business", "user_id": "ada"}),
        ("seat", {"charge_category": "Purchase", "charge_description": "ChatGPT Enterprise seats, November"}),
        ("seat", {"charge_category": "Purchase", "consumed_unit": "Seats"}),
        ("overage", {"provider_name": "github", "sku_meter": "Requests", "user_id": "ada"}),
        ("overage", {"provider_name": "cursor", "service_name": "Cursor", "charge_description": "On-Demand", "user_id": "ada"}),
        ("overage", {"charge_description": "Overage above the plan"}),
        ("capacity", {"provider_name": "azure", "sku_meter": "Provisioned Managed Global"}),
        ("capacity", {"provider_name": "google", "charge_category": "Purchase", "charge_description": "Provisioned Throughput"}),
        ("capacity", {"provider_name": "aws", "sku_meter": "USW2-ProvisionedThroughput-ModelUnits"}),
        (
            "commitment",
            {"provider_name": "azure", "sku_meter": "Provisioned Managed Global", "commitment_discount_status": "Used"},
        ),
        ("commitment", {"provider_name": "azure", "commitment_discount_status": "Unused"}),
        ("commitment", {"provider_name": "aws", "charge_category": "Purchase", "commitment_discount_id": "arn:sp"}),
        ("commitment", {"provider_name": "google", "charge_category": "Purchase", "charge_description": "Commitment v1: x"}),
        ("prepaid", {"charge_category": "Purchase", "charge_description": "Credit purchase"}),
        ("prepaid", {"charge_category": "Purchase", "charge_description": "Auto-recharge"}),
        ("marketplace", {"provider_name": "aws", "invoice_issuer_name": "AWS Marketplace", "model_id": "claude"}),
        ("purchase", {"charge_category": "Purchase", "charge_description": "Domain name"}),
    ],
)
def test_a_charge_is_for_what_its_source_means(kind, charge) -> None:
    assert charges(charge).select(charge_kind()).collect().item() == kind


def test_the_table_of_kinds_is_complete_and_each_row_says_who_writes_so() -> None:
    assert {rule.charge_kind for rule in CHARGE_KIND_RULES} == set(CHARGE_KINDS) - {"usage"}
    assert all(rule.evidence for rule in CHARGE_KIND_RULES)


def test_charges_that_agree_are_added_up_exactly() -> None:
    atto = Decimal("0.000000000000000001")
    found = month_of(
        charges(
            {"billed_cost": Decimal(1), "effective_cost": atto, "consumed_quantity": Decimal(3), "consumed_unit": "Tokens"},
            {"billed_cost": atto, "is_list_cost_estimated": True, "consumed_unit": "Tokens"},
            {"billed_cost": Decimal("-0.5"), "model_id": "gpt-5"},
            {"billed_cost": Decimal(9), "charge_date": dt.date(2026, 12, 1)},
        )
    )
    first = found.filter(pl.col("consumed_unit") == "Tokens").row(0, named=True)
    assert (first["charges_count"], first["billed_cost"], first["effective_cost"]) == (2, 1 + atto, 2 * atto)
    assert (first["consumed_quantity"], first["pricing_quantity"]) == (3, None)
    assert first["is_list_cost_estimated"] is True
    assert sum(found["billed_cost"]) == Decimal("0.5") + atto
    assert sum(found["charges_count"]) == 3


def test_ids_depend_on_the_keys_and_the_month_alone() -> None:
    first = month_of(charges({"billed_cost": Decimal(1)}, {"billed_cost": Decimal(2), "model_id": "gpt-5"}))
    again = month_of(charges({"billed_cost": Decimal(7), "model_id": "gpt-5"}, {"billed_cost": Decimal(8)}))
    assert set(first["invoice_line_id"]) == set(again["invoice_line_id"])
    december = invoice_lines_month(charges({"charge_date": dt.date(2026, 12, 3)}), month=NOVEMBER.next, tag_keys=()).collect()
    assert not set(december["invoice_line_id"]) & set(first["invoice_line_id"])


def test_users_stay_on_seats_and_overage_and_elsewhere_only_where_a_rule_asks() -> None:
    rows = [
        {"user_id": user, "api_key_id": f"key-{user}", **more}
        for user in ("ada", "bob")
        for more in ({}, {"provider_name": "github", "charge_category": "Purchase"})
    ]
    assert sorted(month_of(charges(*rows)).select("charge_kind", "user_id", "api_key_id").rows(), key=str) == [
        ("seat", "ada", None),
        ("seat", "bob", None),
        ("usage", None, None),
    ]
    asked = month_of(charges(*rows), keep_user=True, keep_api_key=True)
    assert set(asked.select("user_id", "api_key_id").rows()) == {("ada", "key-ada"), ("bob", "key-bob")}
    assert asked.height == 4


def test_only_the_tags_that_rules_may_ask_for_are_kept() -> None:
    texts = [
        '{"Owner": "vision", "z": 1}',
        '{"z": 2, "owner": "vision"}',
        '{"owner": ["a", "b"], "cost": ""}',
        '{"other": "x"}',
        "not json",
        '["owner"]',
        None,
    ]
    found = month_of(charges(*({"tags": text} for text in texts)), "owner", "cost")
    assert {None if text is None else json.dumps(json.loads(text)) for text in found["owner_tags"]} == {
        None,
        '{"owner": "vision"}',
        '{"owner": ["a", "b"]}',
    }
    assert dict(found.select("owner_tags", "charges_count").iter_rows())[None] == 4
    assert month_of(charges(*({"tags": text} for text in texts)))["owner_tags"].to_list() == [None]


def test_a_month_without_charges_is_empty() -> None:
    assert month_of(charges()).is_empty()
    assert month_of(charges(), "owner").is_empty()


@pytest.mark.parametrize(
    ("charge", "kept"),
    [
        ({"provider_name": "github", "charge_category": "Purchase", "sku_meter": "User-Months"}, "ada"),
        ({"provider_name": "github", "sku_meter": "Requests"}, "ada"),
        ({}, None),
    ],
)
def test_seats_and_overage_keep_whom_they_are_for(charge, kept) -> None:
    assert month_of(charges({**charge, "user_id": "ada"}))["user_id"].to_list() == [kept]


def test_of_tags_that_differ_in_letter_case_one_is_taken_whatever_their_order() -> None:
    pairs = [("Team", "b"), ("team", "a"), ("TEAM", "c")]
    found = {named_tags(json.dumps(dict(order)), {"team": "Team"}) for order in (pairs, pairs[::-1], pairs[1:] + pairs[:1])}
    assert found == {'{"Team":"a"}'}
