"""``usage-etl eval price``: the pipeline's own prices on any CSV file, and a name for everything that cannot be priced."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.unit.pricing.requests import contract_of
from usage_etl.cli import eval_price
from usage_etl.cli.eval_price import COLUMNS, priced_rows
from usage_etl.cli.main import app
from usage_etl.errors import UnreadableRowsError
from usage_etl.money import MAX_TOKENS
from usage_etl.pricing import ListPrices, ModelCatalog, price_book
from usage_etl.pricing.explain import explain_request

LISTS = ListPrices.bundled()
BOOK = price_book(LISTS, contract_of())
CATALOG = ModelCatalog(providers=LISTS.providers)
MTOK = Decimal(1_000_000)


def line(number: object = 1, model: str = "gpt-5.2", day: str = "2026-06-01", **tokens: object) -> dict[str, Any]:
    names = ("input", "output", "reasoning", "cache_read", "cache_write", "cache_write_1h")
    return {"row": number, "date": day, "model": model} | {name: tokens.get(name, 0) for name in names}


def written(path: Path, *lines: dict[str, Any], newline: str = "\n", mark: str = "") -> Path:
    text = [",".join(COLUMNS), *(",".join(str(one[name]) for name in COLUMNS) for one in lines)]
    path.write_bytes((mark + newline.join(text) + newline).encode())
    return path


def priced(tmp_path: Path, *lines: dict[str, Any], **options: str) -> list[dict[str, str]]:
    rows, out = written(tmp_path / "rows.csv", *lines, **options), tmp_path / "out.csv"
    done = CliRunner().invoke(app, ["eval", "price", str(rows), str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def faults(tmp_path: Path, *lines: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(UnreadableRowsError) as caught:
        priced_rows(written(tmp_path / "rows.csv", *lines))
    return caught.value.faults


def test_every_class_has_its_own_rate_and_the_answer_its_columns(tmp_path: Path) -> None:
    used = line(
        input=1000, output=200, reasoning=50, cache_read=3000, cache_write=700, cache_write_1h=200, model="claude-sonnet-4-5"
    )
    (row,) = priced(tmp_path, used)
    assert list(row) == ["row", "cost", "price_status", "price_id"]
    expected = (1000 * Decimal(3) + 250 * Decimal(15) + 3000 * Decimal("0.3") + 500 * Decimal("3.75") + 200 * Decimal(6)) / MTOK
    assert Decimal(row["cost"]) == expected
    assert (row["price_status"], row["price_id"].split(":")[1]) == ("priced", "anthropic/claude-sonnet-4-5")


def test_an_unknown_model_has_an_empty_cost_and_never_zero(tmp_path: Path) -> None:
    found = priced(tmp_path, line(1, "nobody-knows-7b", input=10), line(2, "", input=10), line(3, "nobody-knows-7b"))
    assert [(row["cost"], row["price_status"], row["price_id"]) for row in found] == [("", "unpriced", "")] * 3


@pytest.mark.parametrize(
    ("spelling", "plain"),
    [
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("  gpt-4o ", "gpt-4o"),
        ("anthropic/claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("gemini/gemini-2.5-pro", "gemini-2.5-pro"),
    ],
)
def test_a_provider_prefix_or_a_date_suffix_is_the_same_model(tmp_path: Path, spelling: str, plain: str) -> None:
    one, two = priced(tmp_path, line(1, spelling, input=1234, output=56), line(2, plain, input=1234, output=56))
    assert one["price_status"] == "priced"
    assert (one["cost"], one["price_id"]) == (two["cost"], two["price_id"])


def test_a_long_request_is_in_the_band_of_its_whole_input(tmp_path: Path) -> None:
    base = {"model": "gemini-2.5-pro", "output": 1}
    short, cached, long = priced(
        tmp_path,
        line(1, **base, input=200_000),
        line(2, **base, input=100_000, cache_read=100_001),
        line(3, **base, input=200_001),
    )
    assert Decimal(short["cost"]) == (200_000 * Decimal("1.25") + 10) / MTOK
    assert Decimal(long["cost"]) == (200_001 * Decimal("2.5") + 15) / MTOK
    assert ":200000:" in cached["price_id"]


def test_the_price_of_the_day_counts(tmp_path: Path) -> None:
    before, after = priced(tmp_path, line(1, "o3", "2025-06-09", input=10**6), line(2, "o3", "2025-06-10", input=10**6))
    assert (before["cost"], after["cost"]) == ("10", "2")


def test_a_price_that_changes_by_the_hour_is_not_guessed(tmp_path: Path) -> None:
    daily = BOOK.filter((pl.col("from_minute") > 0) & (pl.col("provider") == "deepseek") & (pl.col("unit").is_null()))
    model = daily["model_id"][0]
    day = (daily["valid_to"][0] or dt.datetime(2026, 6, 1, tzinfo=dt.UTC)) - dt.timedelta(days=30)
    (row,) = priced(tmp_path, line(1, f"deepseek/{model}", f"{day:%Y-%m-%d}", input=1000))
    assert (row["cost"], row["price_status"]) == ("", "needs_request_grain")


def test_no_tokens_cost_nothing_where_the_price_is_known(tmp_path: Path) -> None:
    (row,) = priced(tmp_path, line())
    assert (row["cost"], row["price_status"]) == ("0", "priced")
    assert row["price_id"]


def test_huge_counts_stay_exact_and_larger_ones_are_refused(tmp_path: Path) -> None:
    (row,) = priced(tmp_path, line(input=MAX_TOKENS, output=1, model="gpt-4o-mini"))
    assert Decimal(row["cost"]) == (MAX_TOKENS * Decimal("0.15") + Decimal("0.6")) / MTOK
    (fault,) = faults(tmp_path, line(input=MAX_TOKENS + 1))
    assert fault == f"line 2 (row 1): input is '{MAX_TOKENS + 1}', wants a whole number from 0 to {MAX_TOKENS}"


def test_repeated_rows_each_get_their_answer_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = priced(tmp_path, line("b", input=1000), line("a", input=2000), line("b", input=1000))
    assert [row["row"] for row in found] == ["b", "a", "b"]
    assert Decimal(found[1]["cost"]) == 2 * Decimal(found[0]["cost"]) == 2 * Decimal(found[2]["cost"])


def test_a_byte_order_mark_windows_line_ends_and_other_columns_change_nothing(tmp_path: Path) -> None:
    plain = priced(tmp_path, line(input=1000))
    assert priced(tmp_path, line(input=1000), newline="\r\n", mark="\ufeff") == plain
    rows = tmp_path / "more.csv"
    rows.write_text("model,note,row,date,output,input,reasoning,cache_read,cache_write,cache_write_1h\n"
                    'gpt-5.2,"a, b",1,2026-06-01,0,1000.0,0,0,0,0\n')  # fmt: skip
    assert priced_rows(rows)["cost"].to_list() == [Decimal(plain[0]["cost"])]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"input": -3}, "input is '-3', wants a whole number"),
        ({"output": "many"}, "output is 'many', wants a whole number"),
        ({"cache_read": "1.5"}, "cache_read is '1.5', wants a whole number"),
        ({"reasoning": ""}, "reasoning is '', wants a whole number"),
        ({"input": "nan"}, "input is 'nan', wants a whole number"),
        ({"input": "9" * 30}, "wants a whole number"),
        ({"cache_write": 5, "cache_write_1h": 6}, "cache_write_1h is more than cache_write"),
    ],
)
def test_numbers_that_are_none_are_named_with_line_and_row(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    (found,) = faults(tmp_path, line("first", input=1), line("second", **change))
    assert found.startswith("line 3 (row second): ")
    assert fault in found


@pytest.mark.parametrize("day", ["2026-02-30", "01.06.2026", "", "2026-06-01T10:00"])
def test_days_that_are_none_are_named(tmp_path: Path, day: str) -> None:
    assert faults(tmp_path, line(day=day)) == (f"line 2 (row 1): date is {day!r}, wants a day as YYYY-MM-DD",)


def test_all_faults_are_named_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.csv", *(line(number, input=-1) for number in range(30)))
    done = subprocess.run(
        [sys.executable, "-m", "usage_etl.cli.start", "eval", "price", str(rows), str(tmp_path / "out.csv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "30 fault(s)" in done.stderr
    assert "line 2 (row 0): input is '-1'" in done.stderr
    assert "and 10 more" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty"),
        (b"row,date,model\n1,2026-06-01,gpt-4o\n", "no column input, output"),
        (b"\xff\xfe\x00broken", "no column row"),
        (",".join(COLUMNS).encode() + b"\n1,2026-06-01,\xff\xfe,1,1,1,1,1,1\n", "UTF-8"),
        (",".join(COLUMNS).encode() + b"\n1,2026-06-01,gpt-4o,1,1,1,1,1,1,1,1\n", "not a CSV file"),
    ],
)
def test_files_that_are_no_such_table_are_refused_by_name(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableRowsError, match=fault):
        priced_rows(path)


def test_a_file_without_rows_has_an_answer_without_rows(tmp_path: Path) -> None:
    assert priced(tmp_path) == []
    assert (tmp_path / "out.csv").read_text() == "row,cost,price_status,price_id\n"


MODELS = st.sampled_from(
    ["gpt-5.2", "claude-opus-4-1", "openai/o3", "gemini-2.5-pro", "mistral-large-latest", "nobody", "gpt-4o"]
)
TOKENS = st.sampled_from([0, 1, 999, 150_000, 300_000, 10**9])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(MODELS, st.dates(dt.date(2024, 1, 1), dt.date(2027, 1, 1)), *[TOKENS] * 4), min_size=1, max_size=8))
def test_the_answer_is_that_of_the_explanation_of_a_request(tmp_path_factory: Any, rows: list[tuple[Any, ...]]) -> None:
    lines = [
        line(number, model, day.isoformat(), input=fresh, output=output, reasoning=7, cache_read=read, cache_write=write)
        for number, (model, day, fresh, output, read, write) in enumerate(rows)
    ]
    found = priced_rows(written(tmp_path_factory.mktemp("rows") / "rows.csv", *lines))
    for answer, (model, day, fresh, output, read, write) in zip(found.iter_rows(named=True), rows, strict=True):
        counts = {"input_uncached_tokens": fresh, "output_tokens": output + 7, "reasoning_tokens": 7, "cache_read_tokens": read,
                  "cache_write_5m_tokens": write}  # fmt: skip
        noon = dt.datetime.combine(day, dt.time(12), tzinfo=dt.UTC)
        told = explain_request(BOOK, CATALOG, host=None, model=model, at=noon, counts=counts, words={})
        assert (answer["cost"], answer["price_status"]) == (told.cost, told.price_status)
        assert answer["price_id"] == (told.price["price_id"] if told.price else None)


def test_the_prices_of_some_models_are_those_of_all(tmp_path: Path) -> None:
    some = ["gpt-5.2", "GPT-4o", "claude-sonnet-4-5", "nobody"]
    narrow = price_book(ListPrices.bundled_of(some), pl.DataFrame())
    assert narrow.equals(BOOK.filter(pl.col("model_id").str.to_lowercase().is_in([one.lower() for one in some] + ["*"])))


def test_pricing_starts_without_orchestrator_sources_and_reports() -> None:
    heavy = "{'dagster', 'boto3', 'weasyprint', 'httpx', 'usage_etl.sources', 'usage_etl.lake', 'usage_etl.reports'}"
    code = f"import sys, usage_etl.cli.start, usage_etl.cli.eval, usage_etl.cli.eval_price; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert eval_price.priced_rows
