"""Downloads of OpenAI's dashboard: the rows of the API in flat tables, whichever report, however they are written."""

import datetime as dt
import gzip
import logging
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import FIRST_SECOND, RECORDED, read, total
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.openai.parse import parse

TIMES = "start_time,end_time,start_time_iso,end_time_iso"
NEWEST_COSTS = (
    f"{TIMES},amount_value,amount_currency,quantity,quantity_unit,line_item,user_id,api_key_id,project_id,organization_id,"
    "project_name,organization_name,user_email,api_source"
)


def times(second: int = FIRST_SECOND, width: int = 86_400) -> str:
    start, end = (dt.datetime.fromtimestamp(at, dt.UTC).isoformat() for at in (second, second + width))
    return f"{second},{second + width},{start},{end}"


def csv(folder: Path, *lines: str, name: str = "download.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_newest_cost_download_is_read_with_names_and_units(tmp_path: Path) -> None:
    names = "user-1,key_1,proj_a,org-1,Alpha,Example,a@example.com,agents_api"
    path = csv(
        tmp_path,
        NEWEST_COSTS,
        f'{times()},0.003835980000000000000000000000,usd,1.5,1000_tokens,"gpt-5-nano, input_tokens",{names}',
        f"{times()},-0.5,usd,,,Promotional credit,,,,org-1,,Example,,",
        f"{times(FIRST_SECOND + 86_400)},,,,,,,,,,,,,",
    )
    parsed = read(parse, path)
    first, credit = parsed.charges.iter_rows(named=True)
    assert (first["billed_cost"], first["consumed_quantity"], first["consumed_unit"]) == (Decimal("0.00383598"), 1500, "Tokens")
    assert (first["sub_account_id"], first["sub_account_name"], first["billing_account_name"]) == ("proj_a", "Alpha", "Example")
    assert (first["user_id"], first["api_key_id"], first["tags"]) == ("user-1", "key_1", '{"api_source": "agents_api"}')
    assert (first["meter_mapping"], credit["meter_mapping"], credit["charge_category"]) == ("mapped", "not_usage", "Credit")
    assert "example.com" not in str(first)
    assert [bucket.bucket_key[-23:] for bucket in parsed.covered] == ["2026-10-01T00:00:00Z/1d", "2026-10-02T00:00:00Z/1d"]


REPORTS = {
    "usage_completions": (
        "input_tokens,output_tokens,num_model_requests,model",
        "10.0,5.0,1.0,gpt-5.2",
        {"reported_output_tokens": 5},
    ),
    "usage_images": (
        "images,num_model_requests,size,source",
        "3.0,2.0,1024x1024,image.edit",
        {"quantity": 3, "primitive": "ai.image"},
    ),
    "usage_embeddings": (
        "input_tokens,num_model_requests,model",
        "10,1,text-embedding-3-small",
        {"quantity": None, "primitive": "ai.embed"},
    ),
    "usage_moderations": (
        "input_tokens,num_model_requests,model",
        "10,4,omni-moderation",
        {"quantity": 4, "primitive": "safety.moderate"},
    ),
    "usage_audio_speeches": ("characters,num_model_requests", "99,1", {"native_unit": "characters", "native_quantity": 99}),
    "usage_audio_transcriptions": ("seconds,num_model_requests", "61,1", {"native_unit": "seconds", "native_quantity": 61}),
    "usage_vector_stores": ("usage_bytes", "123456789012345.0", {"native_unit": "bytes", "native_quantity": 123456789012345}),
    "usage_code_interpreter_sessions": ("num_sessions", "2", {"native_unit": "code_interpreter_sessions", "requests_count": 0}),
    "usage_file_search_calls": (
        "num_requests,vector_store_id",
        "7,vs_1",
        {"native_quantity": 7, "tag_set": "vector_store_id=vs_1"},
    ),
    "usage_web_search_calls": (
        "num_requests,num_model_requests,context_level",
        "7,5,high",
        {"native_quantity": 7, "requests_count": 0},
    ),
}


@pytest.mark.parametrize("dataset", REPORTS)
def test_every_report_is_told_by_its_columns(tmp_path: Path, dataset: str) -> None:
    columns, cells, expected = REPORTS[dataset]
    parsed = read(parse, csv(tmp_path, f"{TIMES},project_id,{columns}", f"{times()},proj_a,{cells}"))
    row = parsed.usage.row(0, named=True)
    assert {name: row[name] for name in expected} == expected
    assert parsed.covered[0].bucket_key == f"org-1/{dataset}/2026-10-01T00:00:00Z/1d"


def test_minute_buckets_stay_minutes_and_need_not_stand_in_order(tmp_path: Path) -> None:
    header = f"{TIMES},input_tokens,output_tokens,num_model_requests,model,batch"
    rows = [
        f"{times(FIRST_SECOND + minute * 60, 60)},{minute},1,1,gpt-5.2,{flag}"
        for minute, flag in ((1, "FALSE"), (0, "TRUE"), (1, "false"))
    ]
    parsed = read(parse, csv(tmp_path, header, *rows))
    assert parsed.usage["processing"].to_list() == ["standard", "standard", "batch"]
    assert [bucket.bucket_key[-23:] for bucket in parsed.covered] == ["2026-10-01T00:01:00Z/1m", "2026-10-01T00:00:00Z/1m"]
    assert parsed.usage["event_id"].n_unique() == 3


def test_a_download_of_empty_days_only_covers_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        parsed = read(parse, csv(tmp_path, TIMES, times()))
    assert (parsed.rows_read, parsed.covered) == (0, [])
    assert "pages_of_unknown_report=1" in caplog.text


def test_a_download_without_rows_is_read(tmp_path: Path) -> None:
    assert read(parse, csv(tmp_path, NEWEST_COSTS)).rows_read == 0


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("ten,usd", "billed_cost__not_a_decimal"),
        ("$1.50,usd", "billed_cost__not_a_decimal"),
        ('"1,50",usd', "billed_cost__not_a_decimal"),
        ("1.5,", "billing_currency__missing"),
        (",usd", "billed_cost__missing"),
        ("1.5,usd,more", "row__too_many_cells"),
        ("1.5", "row__too_few_cells"),
    ],
)
def test_rows_that_cannot_be_read_are_quarantined_beside_good_ones(tmp_path: Path, cells: str, reason: str) -> None:
    parsed = read(parse, csv(tmp_path, f"{TIMES},amount_value,amount_currency", f"{times()},2,usd", f"{times()},{cells}"))
    assert reason in parsed.reasons[0].split(",")
    assert parsed.charges["billed_cost"].to_list() == [2]


def test_the_tail_of_a_printed_float_is_rounded_as_in_the_api(tmp_path: Path) -> None:
    path = csv(tmp_path, f"{TIMES},amount_value,amount_currency", f"{times()},0.1308043834030752601234,usd")
    assert read(parse, path).charges["billed_cost"].to_list() == [Decimal("0.130804383403075260")]


def test_a_row_of_totals_is_refused_not_dropped(tmp_path: Path) -> None:
    parsed = read(parse, csv(tmp_path, f"{TIMES},amount_value,amount_currency", f"{times()},2,usd", "Total,,,,,"))
    assert "start_time__not_a_number" in parsed.reasons[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,b", "1,2"], "not a download of the OpenAI dashboard"),
        ([f"{TIMES},input_tokens,num_model_requests,model", f"{times()},1,1,gpt-5.2"], "'embedding' or 'moderation'"),
        ([f"{TIMES},Amount_Value,amount_value", f"{times()},1,1"], "names a column twice"),
        ([f"{TIMES},n_context_tokens_total", f"{times()},1"], "not a download of the OpenAI dashboard"),
    ],
)
def test_other_tables_are_refused_whole(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=message):
        read(parse, csv(tmp_path, *lines))


def test_compression_and_letter_case_do_not_matter(tmp_path: Path) -> None:
    plain = (RECORDED / "openai" / "dashboard_costs.tsv").read_text(encoding="utf-8")
    path = tmp_path / "costs.tsv.gz"
    path.write_bytes(gzip.compress(plain.replace("amount_value", "Amount_Value ").replace("\n", "\r\n").encode("utf-8-sig")))
    assert read(parse, path).charges.equals(read(parse, RECORDED / "openai" / "dashboard_costs.tsv").charges)


amounts = st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**9), max_value=10**9)


@settings(max_examples=30)
@given(st.lists(st.tuples(amounts, st.integers(0, 4), st.sampled_from(["{:f}", "{:e}", "{}"])), max_size=20))
def test_downloaded_charges_add_up(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[Decimal, int, str]]) -> None:
    rows = [f"{times(FIRST_SECOND + day * 86_400)},{spelling.format(amount)},usd" for amount, day, spelling in lines]
    path = csv(tmp_path_factory.mktemp("csv"), f"{TIMES},amount_value,amount_currency", *rows)
    first, second = read(parse, path), read(parse, path)
    assert first.reasons == []
    assert total(first.charges["billed_cost"]) == total(amount for amount, *_ in lines)
    assert first.charges.equals(second.charges)
