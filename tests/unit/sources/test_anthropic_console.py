"""Downloads of the Claude Console, all generations: the same rows as the API's, in whole dollars."""

import datetime as dt
import logging
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.sources.analytics_rows import context_of
from tests.unit.sources.report_pages import RECORDED, read
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.money import exact_sum
from usage_etl.pricing import ModelCatalog
from usage_etl.sources.anthropic.console import model_id
from usage_etl.sources.anthropic.parse import parse

FOLDER = RECORDED / "anthropic"
OCTOBER = dt.date(2026, 10, 1)


def csv(folder: Path, *lines: str) -> Path:
    path = folder / "download.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_newest_cost_download_is_read_in_dollars_not_cents() -> None:
    charges = read(parse, FOLDER / "console_cost_2026.csv").charges
    assert charges.select("billed_cost", "list_cost", "token_class", "processing").rows() == [
        (Decimal("0.05"), Decimal("0.05"), "input_uncached_tokens", None),
        (Decimal("0.31"), Decimal("0.31"), "cache_write_1h_tokens", None),
        (Decimal("0.10"), Decimal(1), "cache_read_tokens", "fast"),
        (Decimal("0.30"), Decimal("0.60"), "output_tokens", "batch"),
        (Decimal("0.07"), Decimal("0.07"), None, None),
    ]
    assert charges["model_raw"].to_list() == ["claude-haiku-4-5"] * 2 + ["claude-opus-5"] * 2 + [None]
    assert charges["sub_account_name"].to_list() == [None, None, "Sales, West", "Sales, West", None]
    assert charges["api_key_id"].to_list() == ["apikey_01", "apikey_01", "apikey_02", "apikey_02", "apikey_01"]
    assert charges["region_id"].to_list() == [None, "global", "us", "us", None]
    assert charges["charge_description"].to_list()[0] == "Claude Haiku 4.5, input_no_cache"
    assert charges["meter_mapping"].to_list() == [None] * 4 + ["not_usage"]
    assert charges["billing_currency"].unique().to_list() == ["USD"]
    assert not charges["is_list_cost_estimated"].any()


def test_the_oldest_cost_download_has_no_list_price_and_names_keys_only() -> None:
    charges = read(parse, FOLDER / "console_cost_2024.csv").charges
    assert exact_sum(charges["billed_cost"]) == Decimal("1.19")
    assert charges["is_list_cost_estimated"].all()
    assert charges["token_class"].to_list()[1] == "cache_write_5m_tokens"
    assert charges["model_raw"].unique().to_list() == ["claude-3-5-sonnet-20241022"]
    assert charges["api_key_id"].unique().to_list() == ["build-key"]


def test_usage_downloads_are_days_of_the_messages_report() -> None:
    parsed = read(parse, FOLDER / "console_usage_2026.csv")
    first, twin, second, third = parsed.usage.iter_rows(named=True)
    counts = (
        "reported_input_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "cache_read_tokens",
        "reported_output_tokens",
    )
    assert [first[name] for name in counts] == [109_911, 2_545, 17, 0, 34_988]
    assert (first["native_unit"], first["native_quantity"], first["project_id"], first["api_key_id"]) == (
        "web_searches",
        3,
        None,
        "demo-key",
    )
    assert twin["event_id"] == f"{first['event_id']}#2"
    assert (second["processing"], second["context_min_tokens"], second["region"], second["project_id"]) == (
        "batch",
        200_000,
        None,
        "Sales",
    )
    assert (third["processing"], third["region"], third["native_unit"]) == ("fast", "us", None)
    assert [bucket.bucket_key for bucket in parsed.covered] == [
        f"org-1/usage_messages/2026-10-0{day}T00:00:00Z/1d" for day in (1, 2)
    ]


def test_cache_writes_of_the_generation_without_lifetimes_are_of_five_minutes() -> None:
    row = read(parse, FOLDER / "console_usage_2025.csv").usage.row(0, named=True)
    assert (row["cache_write_tokens"], row["cache_write_1h_tokens"], row["cache_read_tokens"]) == (300, 0, 40)


@pytest.mark.parametrize("day", ["2026-10-01", "2026-10-01T00:00:00Z", "2026-10-01 13:00", "2026-10-01T13:00:00+00:00"])
def test_a_day_is_read_in_every_spelling(tmp_path: Path, day: str) -> None:
    path = csv(tmp_path, "usage_date_utc,cost_usd", f"{day},0.25")
    assert read(parse, path).charges["charge_date"].to_list() == [OCTOBER]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("October,0.25", "starting_at__not_rfc_3339"),
        (",0.25", "starting_at__missing"),
        ("2026-10-01,$0.25", "billed_cost__not_a_decimal"),
        ("2027-10-01,0.25", "bucket__in_the_future"),
        ("2026-10-01,0.25,surplus", "row__too_many_cells"),
        ("2026-10-01", "row__too_few_cells"),
        ("Total,", "starting_at__not_rfc_3339"),
    ],
)
def test_what_cannot_be_read_is_quarantined_beside_good_rows(tmp_path: Path, line: str, reason: str) -> None:
    parsed = read(parse, csv(tmp_path, "usage_date_utc,cost_usd", "2026-10-01,1.50", line))
    assert reason in parsed.reasons[0].split(",")
    assert parsed.charges["billed_cost"].to_list() == [Decimal("1.5")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encoding_and_separator_do_not_matter(tmp_path: Path, encoding: str, separator: str) -> None:
    text = (FOLDER / "console_usage_2026.csv").read_text(encoding="utf-8").replace('"key, of sales"', "key of sales")
    path = tmp_path / "download.csv"
    path.write_bytes(text.replace(",", separator).replace("\n", "\r\n").encode(encoding))
    usage = read(parse, path).usage
    assert usage["context_min_tokens"].to_list() == [0, 0, 200_000, 200_000]


def test_new_columns_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(parse, csv(tmp_path, "usage_date_utc,cost_usd,mood", "2026-10-01,0.25,good"))
    assert "unread_fields=mood" in caplog.text


def test_other_tables_and_other_families_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDeliveryError, match=r"not a download of the Claude Console.*cost_usd"):
        read(parse, csv(tmp_path, "date,model,cost", "2026-10-01,claude,1"))
    with pytest.raises(UnreadableDeliveryError, match="family of this source is enterprise"):
        read(parse, FOLDER / "console_cost_2026.csv", context_of("enterprise"))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("Claude 3.5 Sonnet 2024-10-22", "claude-3-5-sonnet-20241022"),
        ("Claude Opus 4.1", "claude-opus-4-1"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5-20251101"),
    ],
)
def test_names_that_the_console_shows_become_ids_of_the_price_book(shown: str, expected: str) -> None:
    assert model_id(shown) == expected
    assert ModelCatalog().find("anthropic", expected)[3] == "anthropic"
