"""Pages tell which report they are; anything else is refused whole, and emptied buckets stay visible."""

import datetime as dt
import logging
from pathlib import Path

import polars as pl
import pytest

from tests.unit.sources.report_pages import (
    CONTEXT,
    FIRST_DAY,
    number,
    openai_bucket,
    openai_cost,
    openai_page,
    openai_usage,
    read,
    save,
)
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.openai.parse import parse
from usage_etl.sources.staging import stage


def test_a_page_without_results_waits_for_one_that_tells_the_report(tmp_path: Path) -> None:
    empty = openai_page(openai_bucket(day=0))
    parsed = read(parse, save(tmp_path, empty, openai_page(openai_bucket(openai_cost("1"), day=1))))
    assert [bucket.table_name for bucket in parsed.covered] == ["staged_charges"] * 2


def test_a_file_without_any_result_covers_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read(parse, save(tmp_path, openai_page(openai_bucket()))).batches == []
    assert "pages_of_unknown_report=1" in caplog.text


def test_a_pull_without_any_result_covers_its_buckets(tmp_path: Path) -> None:
    pull = {"usage_etl_pull": {"dataset": "costs"}}
    parsed = read(parse, save(tmp_path, pull, openai_page(openai_bucket())))
    assert [(bucket.table_name, bucket.day) for bucket in parsed.covered] == [("staged_charges", FIRST_DAY)]
    assert parsed.rows_read == 0


def test_fields_that_are_not_read_are_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(parse, save(tmp_path, openai_page(openai_bucket(openai_cost("1", surcharge=number("2"))))))
    assert "unread_fields=surcharge" in caplog.text


REFUSED = {
    "an error answer": {"error": {"message": "Incorrect API key"}},
    "another report": openai_page(openai_bucket({"object": "organization.usage.dreams.result", "input_tokens": number("1")})),
    "a page without results": openai_page({"object": "bucket", "start_time": number("1")}),
    "an object without data": {"object": "page"},
    "a bare list of buckets": [openai_bucket(openai_cost("1"))],
    "results without a name": openai_page(openai_bucket({"amount": {"value": number("1"), "currency": "usd"}})),
    "two reports in one page": openai_page(openai_bucket(openai_cost("1"), openai_usage())),
    "a page nested too deeply": '{"data":[{"results":[{"line_item":' + "[" * 500 + "]" * 500 + "}]}]}",
    "a document nested far too deeply": "[" * 100_000,
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_page_of_a_known_report_is_refused_whole(tmp_path: Path, document: object) -> None:
    path = save(tmp_path, document)
    if isinstance(document, str):
        path.write_text(document)
    with pytest.raises(UnreadableDeliveryError, match="source bills"):
        read(parse, path)


def test_two_reports_in_one_file_are_refused(tmp_path: Path) -> None:
    pages = openai_page(openai_bucket(openai_cost("1"))), openai_page(openai_bucket(openai_usage()))
    with pytest.raises(UnreadableDeliveryError, match=r"costs, usage_completions.*files of its own"):
        read(parse, save(tmp_path, *pages))


def test_a_pull_that_holds_another_report_is_refused(tmp_path: Path) -> None:
    pull = {"usage_etl_pull": {"dataset": "usage_completions"}}
    with pytest.raises(UnreadableDeliveryError, match="more than one report"):
        read(parse, save(tmp_path, pull, openai_page(openai_bucket(openai_cost("1")))))


def test_results_that_are_no_objects_are_quarantined(tmp_path: Path) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_cost("1"), None, "text", number("5")))))
    assert parsed.reasons == ["result__not_an_object"] * 3
    assert parsed.quarantine["raw_text"].to_list() == ["null", '"text"', "5"]


def test_an_emptied_bucket_is_a_bucket_without_rows(tmp_path: Path) -> None:
    page = openai_page(openai_bucket(openai_cost("1")), openai_bucket(day=1))
    staged = stage(parse(save(tmp_path, page), CONTEXT), context=CONTEXT, work_folder=tmp_path)
    assert [(file.day, file.rows_count) for file in staged.files] == [(FIRST_DAY, 1)]
    second = FIRST_DAY + dt.timedelta(days=1)
    assert [(rows.bucket.day, rows.rows_count) for rows in staged.buckets] == [(FIRST_DAY, 1), (second, 0)]


def test_the_buckets_of_a_pull_have_its_instant_as_version(tmp_path: Path) -> None:
    for pulled_at, expected in {
        "2026-11-20T06:30:00Z": dt.datetime(2026, 11, 20, 6, 30, tzinfo=dt.UTC),
        "2026-11-20T06:30:00": None,
        "yesterday": None,
        None: None,
    }.items():
        pull = {"usage_etl_pull": {"dataset": "costs", "pulled_at": pulled_at}}
        parsed = read(parse, save(tmp_path, pull, openai_page(openai_bucket(openai_cost("1")))))
        assert [bucket.version_at for bucket in parsed.covered] == [expected]


def test_usage_rows_name_their_bucket(tmp_path: Path) -> None:
    parsed = read(parse, save(tmp_path, openai_page(openai_bucket(openai_usage()))))
    [batch] = parsed.batches
    assert batch.usage["bucket_key"].to_list() == [bucket.bucket_key for bucket in parsed.covered]


def test_a_download_is_staged_with_its_refused_rows_counted(tmp_path: Path) -> None:
    columns = "start_time,end_time,amount_value,amount_currency"
    times = "1790812800,1790899200"
    path = tmp_path / "costs.csv"
    path.write_text(
        f"{columns}\n{times},1.5,usd\n{times},many,usd\n{times},1,usd,more\n1790899200,1790985600,,\n", encoding="utf-8"
    )
    staged = stage(parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path)
    assert (staged.rows_read, staged.rows_staged, staged.rows_quarantined) == (3, 1, 2)
    assert [(file.day, file.rows_count) for file in staged.files] == [(FIRST_DAY, 1)]
    assert [rows.rows_count for rows in staged.buckets] == [1, 0]
    refused = pl.read_parquet(staged.quarantine["billing_charges__quarantine"])
    assert refused.select("raw_ordinal", "reasons").rows() == [(2, "billed_cost__not_a_decimal"), (3, "row__too_many_cells")]
