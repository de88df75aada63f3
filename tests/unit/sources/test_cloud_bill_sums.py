"""Sums of the clouds' bills: random rows with every documented field, and many rows in bounded time."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import total
from tests.unit.sources.run_files import (
    aws_run,
    aws_settings,
    azure_run,
    azure_settings,
    csv_text,
    fetched,
    gzipped,
    read_only,
    read_run,
)
from tests.unit.sources.test_aws_data_exports_parse import ROW as CUR_ROW
from tests.unit.sources.test_azure_cost_parse import ROW as COST_ROW
from usage_etl.money import exact_sum
from usage_etl.sources.aws_data_exports.cur_columns import CUR_DECIMALS, CUR_INSTANTS, CUR_NAMES
from usage_etl.sources.azure_cost.cost_rows import COST_NAMES

AMOUNTS = st.decimals(-(10**6), 10**6, places=10, allow_nan=False)


def cells_of(row: Mapping[str, str], changes: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows with random cells; a CSV holds no NUL."""
    return [{name: text.replace("\0", "") for name, text in {**row, **change}.items()} for change in changes]


def test_two_hundred_thousand_rows_are_read_in_bounded_time_to_the_last_digit(tmp_path: Path) -> None:
    """The sums are computed here a second time, by whole numbers of the tenth of a nano dollar."""
    count, width = 200_000, 1_000
    types = ["USE1-NovaPro-input-tokens", "USE1-Claude4.6Sonnet-output-tokens-cross-region-global", "USE1-BoxUsage:t3.micro"]
    codes = ["AmazonBedrock", "AmazonBedrock", "AmazonEC2"]
    filler = ",".join(f"discount_extra_{number}" for number in range(60))
    names = ",".join((*CUR_ROW, "resource_tags", "bill_payer_account_id"))
    lines, sums = [f"{names},{filler}"], [0, 0, 0]
    for number in range(count):
        kind, units = number % 3, (number * 7919) % 10**13
        sums[kind] += units
        hour = f"2026-10-{1 + number % 31:02d}T{number % 24:02d}"
        lines.append(
            f"Usage,{codes[kind]},{types[kind]},{hour}:00:00.000Z,{hour}:59:59.999Z,{number % width}.5,USD,"
            f'{units // 10**10}.{units % 10**10:010d},1K tokens,"{{""user_team"":""t{number % 50}""}}",1111,{"," * 59}'
        )
    aws_run(tmp_path / "in", "\n".join(lines).encode(), suffix=".csv")
    settings = aws_settings(tmp_path / "in")
    (landed,) = fetched(settings)
    started = time.process_time()
    found = read_run(settings, landed, tmp_path / "work")
    seconds = time.process_time() - started
    by_kind = {row[0]: row[1] for row in found.charges.group_by("token_class").agg(pl.col("billed_cost").implode()).iter_rows()}
    for kind, token_class in ((0, "input_uncached_tokens"), (1, "output_tokens")):
        assert exact_sum(by_kind[token_class]) == Decimal(sums[kind]).scaleb(-10)
    halves = sum(2 * (number % width) + 1 for number in range(count) if number % 3 < 2)
    assert exact_sum(found.charges["consumed_quantity"]) == halves * 500
    assert found.staged.rows_out_of_scope == count // 3
    assert found.staged.rows_read == count
    assert len(found.staged.files) == 31
    assert seconds < 30, f"{seconds:.1f} s of processor time"


CUR_CELLS = st.fixed_dictionaries(
    {
        **{name: st.text(max_size=12) for name in CUR_NAMES},
        **dict.fromkeys(CUR_DECIMALS, AMOUNTS.map(str)),
        **{name: st.just(CUR_ROW.get(name, "")) for name in (*CUR_INSTANTS, "line_item_currency_code", "line_item_product_code")},
        "line_item_unblended_cost": AMOUNTS.map(lambda amount: f"{amount:E}"),
        "line_item_usage_amount": AMOUNTS.map(str),
        "line_item_line_item_type": st.sampled_from(
            ["Usage", "Tax", "Credit", "Refund", "Fee", "DiscountedUsage", "SavingsPlanNegation"]
        ),
        "pricing_unit": st.sampled_from(["1K tokens", "1M tokens", "Units", "", "Hrs"]),
        "line_item_usage_type": st.sampled_from(["USE1-NovaPro-input-tokens", "USE1-MP:USE1_InputTokenCount-Units", "x", ""]),
        "product": st.sampled_from(['{"product_name":"Claude Opus 4.8 (Amazon Bedrock Edition)"}', "{", "", "[]"]),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(CUR_CELLS, min_size=1, max_size=15))
def test_random_cur_rows_keep_their_sum_and_read_the_same_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    aws_run(folder / "in", gzipped(csv_text(cells_of(CUR_ROW, rows))))
    found = read_only(aws_settings(folder / "in"), folder / "work")
    assert found.reasons == []
    assert total(found.charges["billed_cost"]) == total(Decimal(row["line_item_unblended_cost"]) for row in rows)
    again = read_only(aws_settings(folder / "in"), folder / "again")
    assert [file.sha256 for file in again.staged.files] == [file.sha256 for file in found.staged.files]


COST_CELLS = st.fixed_dictionaries(
    {
        **{spellings[0]: st.text(max_size=12) for spellings in COST_NAMES.values()},
        **dict.fromkeys(("UnitPrice", "PayGPrice", "PaygCostInBillingCurrency"), AMOUNTS.map(str)),
        **{
            name: st.just(COST_ROW.get(name, ""))
            for name in ("BillingCurrencyCode", "BillingPeriodStartDate", "BillingPeriodEndDate")
        },
        "MeterCategory": st.just("Azure OpenAI"),
        "CostInBillingCurrency": AMOUNTS.map(lambda amount: f"{amount:E}"),
        "Quantity": AMOUNTS.map(str),
        "UnitOfMeasure": st.sampled_from(["1K", "1M", "10K", "1 GB", "1/Hour", "100 Hours", "1 GB/Month", ""]),
        "ChargeType": st.sampled_from(
            ["Usage", "Purchase", "Refund", "UnusedReservation", "RoundingAdjustment", "Tax", "usage", ""]
        ),
        "Date": st.dates(min_value=dt.date(2026, 10, 1), max_value=dt.date(2026, 10, 31)).map(
            lambda day: f"{day.month}/{day.day}/{day.year}"
        ),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(COST_CELLS, min_size=1, max_size=15))
def test_random_cost_rows_keep_their_sum_and_read_the_same_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("azure")
    azure_run(folder / "in", csv_text(cells_of(COST_ROW, rows)))
    found = read_only(azure_settings(folder / "in"), folder / "work")
    assert found.reasons == []
    assert total(found.charges["billed_cost"]) == total(Decimal(row["CostInBillingCurrency"]) for row in rows)
    again = read_only(azure_settings(folder / "in"), folder / "again")
    assert [file.sha256 for file in again.staged.files] == [file.sha256 for file in found.staged.files]
