"""CUR 2.0 and FOCUS exports of AWS become charge lines, exactly, or a named refusal."""

import datetime as dt
import json
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import RECORDED, total
from tests.unit.sources.run_files import (
    Read,
    aws_run,
    aws_settings,
    csv_text,
    fetched,
    gzipped,
    known_of,
    parquet,
    put,
    read_only,
    read_run,
    rows_with,
)
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.money import exact_sum

FILES = RECORDED / "aws_data_exports"
ROW = {
    "line_item_line_item_type": "Usage",
    "line_item_product_code": "AmazonBedrock",
    "line_item_usage_type": "USE1-NovaPro-input-tokens",
    "line_item_usage_start_date": "2026-10-05T03:00:00.000Z",
    "line_item_usage_end_date": "2026-10-05T04:00:00.000Z",
    "line_item_usage_amount": "10",
    "line_item_currency_code": "USD",
    "line_item_unblended_cost": "1.5",
    "pricing_unit": "1K tokens",
}


def recorded(folder: Path, name: str, **changes: Any) -> Read:
    aws_run(folder / "in", gzipped((FILES / name).read_bytes()))
    return read_only(aws_settings(folder / "in", **changes), folder / "work")


def read_rows(folder: Path, *changes: dict[str, str], **options: Any) -> Read:
    aws_run(folder / "in", gzipped(csv_text(rows_with(ROW, *changes))))
    return read_only(aws_settings(folder / "in", **options), folder / "work")


def only(folder: Path, **changes: str) -> dict[str, Any]:
    found = read_rows(folder, changes)
    assert found.reasons == []
    return found.charges.row(0, named=True)


def test_the_recorded_run_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    put(
        tmp_path / "in",
        "bedrock-cur/metadata/BILLING_PERIOD=2026-10/bedrock-cur-Manifest.json",
        (FILES / "bedrock-cur-Manifest.json").read_bytes(),
    )
    put(
        tmp_path / "in",
        "bedrock-cur/data/BILLING_PERIOD=2026-10/bedrock-cur-00001.csv.gz",
        gzipped((FILES / "cur_2_0.csv").read_bytes()),
    )
    found = read_only(aws_settings(tmp_path / "in"), tmp_path / "work")
    assert (found.staged.rows_read, found.charges.height, found.staged.rows_out_of_scope) == (12, 10, 2)
    (bucket,) = found.staged.covered
    assert (bucket.bucket_key, str(bucket.version_at)) == ("bedrock-cur/data_export/2026-10", "2026-10-07 04:15:00+00:00")


def test_cur_rows_keep_amounts_quantities_and_parties(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    charges = recorded(tmp_path, "cur_2_0.csv").charges
    assert caplog.records == [], "every column of the documented set is known"
    assert charges["billed_cost"].to_list() == [
        Decimal(text)
        for text in ("0.3471144", "1.77297747", "0.0000096", "0.0012", "4.125", "7.5", "0.08", "-5", "-0.17729775", "0.12")
    ]
    assert charges["effective_cost"].to_list()[:3] == [Decimal("0.3471144"), Decimal("1.59567972"), Decimal("0.0000096")]
    assert charges["effective_cost"][8] == 0, "the discount is in the net cost of the usage it is for"
    assert charges.select("consumed_quantity", "consumed_unit").rows()[:4] == [
        (Decimal(433893), "Tokens"),
        (Decimal(5372659), "Tokens"),
        (Decimal(1), "Tokens"),
        (Decimal(2000), "Tokens"),
    ]
    first, second = charges.rows(named=True)[:2]
    assert (first["billing_account_id"], first["sub_account_id"], first["provider_name"]) == (
        "111122223333",
        "444455556666",
        "aws",
    )
    assert json.loads(first["tags"]) == {"user_team": "search"}
    assert second["user_id"] == "arn:aws:iam::444455556666:role/SearchRole"
    assert charges["charge_category"].to_list()[6:9] == ["Tax", "Credit", "Credit"]
    assert {str(day)[:10] for day in charges["billing_period_end"]} == {"2026-11-01"}


def test_usage_types_name_model_class_tier_and_scope(tmp_path: Path) -> None:
    charges = recorded(tmp_path, "cur_2_0.csv").charges
    assert charges.select("meter_mapping", "model_raw", "token_class", "processing", "deployment_scope").rows() == [
        ("mapped", "amazon.nova-pro-v1:0", "input_uncached_tokens", "standard", "regional"),
        ("mapped", "anthropic.claude-sonnet-4-6", "cache_read_tokens", "standard", "regional"),
        ("mapped", "amazon.nova-2-lite-v1:0", "input_uncached_tokens", "flex", "regional"),
        ("mapped", "openai.gpt-oss-120b-1:0", "output_tokens", "standard", "regional"),
        ("mapped", "anthropic.claude-sonnet-4-6", "input_uncached_tokens", "standard", "regional"),
        ("mapped", "global.anthropic.claude-sonnet-4-6", "output_tokens", "standard", "global"),
        *[("not_usage", None, None, None, None)] * 3,
        ("unmapped", None, None, None, None),
    ]


def test_marketplace_models_count_as_ai_though_their_service_is_blank(tmp_path: Path) -> None:
    charges = recorded(tmp_path, "cur_2_0.csv").charges.filter(pl.col("sku_meter").str.contains("MP:"))
    assert charges["service_name"].unique().to_list() == ["Claude Sonnet 4.6 (Amazon Bedrock Edition)"]
    assert charges["publisher_name"].unique().to_list() == ["Anthropic, PBC"]
    assert charges.select("consumed_quantity", "consumed_unit").rows() == [
        (Decimal(1250000), "Tokens"),
        (Decimal("0.5"), "Units"),
    ], "a unit that the line does not name is not guessed"
    assert charges["list_cost"].equals(charges["billed_cost"].rename("list_cost"))
    assert charges["is_list_cost_estimated"].all(), "a public price of 0 is none"


def test_focus_rows_are_told_by_the_header_and_marketplace_rows_by_their_usage_type(tmp_path: Path) -> None:
    found = recorded(tmp_path, "focus_1_0.csv")
    assert (found.charges.height, found.staged.rows_out_of_scope) == (2, 1)
    own, market = found.charges.rows(named=True)
    assert (own["model_raw"], own["consumed_quantity"], own["effective_cost"]) == (
        "anthropic.claude-sonnet-4-6",
        Decimal(5372659),
        Decimal("1.59567972"),
    )
    assert (market["billed_cost"], market["meter_mapping"]) == (Decimal("4.125"), "unmapped")
    assert (market["list_cost"], market["is_list_cost_estimated"]) == (Decimal("4.125"), True)
    assert market["service_name"] == "8c0n7gkq3w5x2m1p9r4t6v8yz"


def test_parquet_with_maps_and_doubles_says_what_the_text_says(tmp_path: Path) -> None:
    text = (FILES / "cur_2_0.csv").read_bytes()
    frame = pl.read_csv(text, infer_schema=False)
    maps = {
        name: pl.Series(name, [[{"key": k, "value": v} for k, v in json.loads(cell or "{}").items()] for cell in frame[name]])
        for name in ("product", "resource_tags")
    }
    amounts = [name for name in frame.columns if name.endswith(("_cost", "_amount", "_rate"))]
    times = [name for name in frame.columns if name.endswith("_date")]
    typed = frame.with_columns(
        pl.col(amounts).cast(pl.Float64),
        *(pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms") for name in times),
        *maps.values(),
    )
    aws_run(tmp_path / "in", parquet(typed), suffix=".snappy.parquet")
    found = read_only(aws_settings(tmp_path / "in"), tmp_path / "work").charges
    assert found.equals(recorded(tmp_path / "text", "cur_2_0.csv").charges)


COMMITMENTS = [
    {"line_item_line_item_type": "Usage", "line_item_unblended_cost": "10"},
    {"line_item_line_item_type": "SavingsPlanUpfrontFee", "line_item_unblended_cost": "1000"},
    {
        "line_item_line_item_type": "SavingsPlanRecurringFee",
        "line_item_unblended_cost": "100",
        "savings_plan_total_commitment_to_date": "1100",
        "savings_plan_used_commitment": "1040",
    },
    {
        "line_item_line_item_type": "SavingsPlanCoveredUsage",
        "line_item_unblended_cost": "1500",
        "savings_plan_savings_plan_effective_cost": "1040",
        "pricing_public_on_demand_cost": "1500",
    },
    {"line_item_line_item_type": "SavingsPlanNegation", "line_item_unblended_cost": "-1500"},
    {"line_item_line_item_type": "Fee", "line_item_unblended_cost": "300", "reservation_reservation_a_r_n": "arn:r"},
    {
        "line_item_line_item_type": "RIFee",
        "line_item_unblended_cost": "0",
        "reservation_unused_amortized_upfront_fee_for_billing_period": "90",
        "reservation_unused_recurring_fee": "10",
    },
    {"line_item_line_item_type": "DiscountedUsage", "line_item_unblended_cost": "0", "reservation_effective_cost": "200"},
]


def test_commitments_are_billed_when_paid_and_effective_when_used(tmp_path: Path) -> None:
    charges = read_rows(tmp_path, *COMMITMENTS).charges
    assert charges["billed_cost"].to_list() == [Decimal(cost) for cost in (10, 1000, 100, 1500, -1500, 300, 0, 0)]
    assert charges["effective_cost"].to_list() == [Decimal(cost) for cost in (10, 0, 60, 1040, 0, 0, 100, 200)]
    assert exact_sum(charges["billed_cost"]) == exact_sum(charges["effective_cost"]) == 1410
    negation = charges.row(4, named=True)
    assert (negation["list_cost"], negation["consumed_quantity"]) == (0, None), "the covered usage is counted once"
    assert charges["commitment_discount_status"].to_list() == [None, None, None, "Used", None, None, None, "Used"]


def test_columns_that_the_customer_left_out_are_done_without(tmp_path: Path) -> None:
    charge = only(tmp_path)
    assert (str(charge["billing_period_start"])[:10], charge["billing_account_id"]) == ("2026-10-01", "org-1")
    assert (charge["list_cost"], charge["is_list_cost_estimated"], charge["tags"]) == (Decimal("1.5"), True, None)
    without = {name: text for name, text in ROW.items() if name != "line_item_currency_code"}
    aws_run(tmp_path / "less", gzipped(csv_text([without])))
    with pytest.raises(UnreadableDeliveryError, match="no column line_item_currency_code"):
        read_only(aws_settings(tmp_path / "less"), tmp_path / "work2")


def test_the_legacy_report_is_refused_with_what_to_do(tmp_path: Path) -> None:
    aws_run(tmp_path / "in", gzipped(b"identity/LineItemId,lineItem/UsageType,lineItem/UnblendedCost\na,b,1\n"))
    with pytest.raises(UnreadableDeliveryError, match=r"legacy Cost and Usage Report.*CUR 2.0 or FOCUS"):
        read_only(aws_settings(tmp_path / "in"), tmp_path / "work")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"line_item_unblended_cost": ""}, "line_item_unblended_cost__missing"),
        ({"line_item_unblended_cost": "USD 1"}, "line_item_unblended_cost__not_a_decimal"),
        ({"line_item_unblended_cost": "-1e12"}, "line_item_unblended_cost__out_of_range"),
        ({"line_item_usage_start_date": "soon"}, "line_item_usage_start_date__not_a_time"),
        ({"line_item_usage_end_date": "2026-10-05T02:00:00Z"}, "line_item_usage_end_date__before_start"),
        ({"line_item_line_item_type": "Novelty"}, "line_item_line_item_type__unknown"),
        ({"line_item_currency_code": "$"}, "line_item_currency_code__not_iso_4217"),
        ({"line_item_usage_amount": "NaN"}, "line_item_usage_amount__not_a_decimal"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    found = read_rows(tmp_path, {}, changes)
    assert found.reasons == [reason]
    assert found.charges.height == 1


def test_other_services_are_counted_until_the_settings_take_them_in(tmp_path: Path) -> None:
    rows = [{}, {"line_item_product_code": "AmazonSageMaker", "line_item_usage_type": "USE1-Host:ml.g5.xlarge"}]
    found = read_rows(tmp_path, *rows)
    assert (found.staged.rows_read, found.staged.rows_out_of_scope, found.charges.height) == (2, 1, 1)
    wider = read_rows(tmp_path / "wider", *rows, services=["AmazonBedrock*", "amazonsagemaker*"])
    assert wider.charges["meter_mapping"].to_list() == ["mapped", "unmapped"]


def test_a_refreshed_month_is_a_new_version_of_the_same_period(tmp_path: Path) -> None:
    settings = aws_settings(tmp_path / "in")
    aws_run(tmp_path / "in", gzipped(csv_text(rows_with(ROW, {}, {}))))
    first = fetched(settings)
    aws_run(tmp_path / "in", gzipped(csv_text([ROW])), execution="next", created="2026-10-07T04:15:00Z")
    second = fetched(settings, known_of(first))
    assert [item.origin_key for item in second] == [first[0].origin_key]
    found = read_run(settings, second[0], tmp_path / "work")
    assert (found.staged.rows_read, found.staged.covered[0].version_at) == (1, dt.datetime(2026, 10, 7, 4, 15, tzinfo=dt.UTC))


def test_two_hundred_thousand_rows_are_read_in_bounded_time_to_the_last_digit(tmp_path: Path) -> None:
    """The sums are computed here a second time, by whole numbers of the tenth of a nano dollar."""
    count, width = 200_000, 1_000
    types = ["USE1-NovaPro-input-tokens", "USE1-Claude4.6Sonnet-output-tokens-cross-region-global", "USE1-BoxUsage:t3.micro"]
    codes = ["AmazonBedrock", "AmazonBedrock", "AmazonEC2"]
    filler = ",".join(f"discount_extra_{number}" for number in range(60))
    names = ",".join((*ROW, "resource_tags", "bill_payer_account_id"))
    lines, sums = [f"{names},{filler}"], [0, 0, 0]
    for number in range(count):
        kind, units = number % 3, (number * 7919) % 10**13
        sums[kind] += units
        hour = f"2026-10-{1 + number % 31:02d}T{number % 24:02d}"
        lines.append(
            f"Usage,{codes[kind]},{types[kind]},{hour}:00:00.000Z,{hour}:59:59.999Z,{number % width}.5,USD,"
            f'{units // 10**10}.{units % 10**10:010d},1K tokens,"{{""user_team"":""t{number % 50}""}}",1111,{"," * 59}'
        )
    aws_run(tmp_path / "in", gzipped("\n".join(lines).encode()))
    settings = aws_settings(tmp_path / "in")
    (landed,) = fetched(settings)
    started = time.process_time()
    found = read_run(settings, landed, tmp_path / "work")
    seconds = time.process_time() - started
    by_kind = {row[0]: row[1] for row in found.charges.group_by("token_class").agg(pl.col("billed_cost").implode()).iter_rows()}
    for kind, token_class in ((0, "input_uncached_tokens"), (1, "output_tokens")):
        assert total(by_kind[token_class]) == Fraction(sums[kind], 10**10)
    quantities = sum(Fraction(2 * (number % width) + 1, 2) * 1000 for number in range(count) if number % 3 < 2)
    assert total(found.charges["consumed_quantity"]) == quantities
    assert found.staged.rows_out_of_scope == count // 3
    assert found.staged.rows_read == count
    assert len(found.staged.files) == 31
    assert seconds < 30, f"{seconds:.1f} s of processor time"


AMOUNTS = st.decimals(-(10**6), 10**6, places=10, allow_nan=False)
CELLS = st.fixed_dictionaries(
    {
        "line_item_unblended_cost": AMOUNTS.map(lambda amount: f"{amount:E}"),
        "line_item_usage_amount": AMOUNTS.map(str),
        "line_item_line_item_type": st.sampled_from(
            ["Usage", "Tax", "Credit", "Refund", "Fee", "DiscountedUsage", "SavingsPlanNegation"]
        ),
        "pricing_unit": st.sampled_from(["1K tokens", "1M tokens", "Units", "", "Hrs"]),
        "line_item_usage_type": st.sampled_from(["USE1-NovaPro-input-tokens", "USE1-MP:USE1_InputTokenCount-Units", "x", ""]),
        "product": st.sampled_from(['{"product_name":"Claude Opus 4.8 (Amazon Bedrock Edition)"}', "{", "", "[]"]),
        **{
            name: st.text(max_size=12) for name in ("resource_tags", "line_item_line_item_description", "line_item_iam_principal")
        },
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(CELLS, min_size=1, max_size=15))
def test_random_rows_keep_their_sum_and_read_the_same_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    cells = [{name: text.replace("\0", "") for name, text in row.items()} for row in rows]
    found = read_rows(folder, *cells)
    assert found.reasons == []
    assert total(found.charges["billed_cost"]) == total(Decimal(row["line_item_unblended_cost"]) for row in rows)
    again = read_only(aws_settings(folder / "in"), folder / "again")
    assert [file.sha256 for file in again.staged.files] == [file.sha256 for file in found.staged.files]
