"""What a SpendLogs file becomes as a whole: compression, encodings, damage, and files that are something else."""

import dataclasses
import gzip
import json
import tempfile
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.spend_logs import CONTEXT, Outcome, line, outcome_of
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.litellm.parse import parse
from usage_etl.sources.reading import lines

THREE = "".join(f"{line(request_id=f'req-{number}')}\n" for number in (1, 2, 3))


def ids(outcome: Outcome) -> list[str]:
    return outcome.usage["event_id"].to_list()


def refusal_of(content: bytes | str) -> str:
    with pytest.raises(UnreadableDeliveryError) as error:
        outcome_of(content)
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        THREE.encode(),
        THREE.rstrip("\n").encode(),
        THREE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + THREE.encode(),
        gzip.compress(THREE.encode()),
        b"".join(gzip.compress(part.encode() + b"\n") for part in THREE.split("\n")),
        gzip.compress(THREE.encode()) + bytes(64),
        zstd.compress(THREE.encode()),
        zstd.compress(THREE[:100].encode()) + zstd.compress(THREE[100:].encode()),
        b"\x50\x2a\x4d\x18\x04\x00\x00\x00size" + zstd.compress(THREE.encode()),
        gzip.compress(b"\xef\xbb\xbf" + THREE.encode()),
    ],
    ids=["plain", "no-last-end", "crlf", "bom", "gz", "gz-members", "gz-padded", "zst", "zst-frames", "zst-skippable", "gz-bom"],
)
@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz", "log.jsonl.zst"])
def test_a_file_reads_the_same_in_every_packing_whatever_its_name(content: bytes, name: str) -> None:
    outcome = outcome_of(content, name=name)

    assert ids(outcome) == ["req-1", "req-2", "req-3"]
    assert outcome.usage["raw_ordinal"].to_list()[0] == 1
    assert outcome.rows_read == 3


def test_blank_lines_count_as_lines_but_not_as_records() -> None:
    outcome = outcome_of(f"\n  \n{line(request_id='a')}\n\t\n{{bad}}\n")

    assert outcome.usage["raw_ordinal"].to_list() == [3]
    assert outcome.refused == {5: "line__not_json"}
    assert outcome.rows_read == 2


def test_space_around_a_record_is_harmless() -> None:
    assert ids(outcome_of(f"  {line()} \t\n{line(request_id='b')}\n")) == ["req-1", "b"]


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf", gzip.compress(b""), zstd.compress(b"")])
def test_a_file_without_records_is_no_rows_and_no_error(content: bytes) -> None:
    assert outcome_of(content).rows_read == 0


def test_a_cut_last_line_is_quarantined_with_its_text() -> None:
    cut = line(request_id="late")[:90]
    outcome = outcome_of(THREE + cut)

    assert outcome.refused == {4: "line__not_a_json_object"}
    assert outcome.quarantine["raw_text"].to_list() == [cut]
    assert ids(outcome) == ["req-1", "req-2", "req-3"]


def test_a_file_that_is_one_cut_line_is_a_quarantined_line() -> None:
    assert outcome_of('{"request_id": "a", "sta').refused == {1: "line__not_a_json_object"}


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (b"\x00" * 40, "line__not_a_json_object"),
        (b'{"request_id": "a\x00b"}', "line__not_json"),
        (b'{"request_id": "caf\xe9"}', "line__not_utf8"),
        (b"2026-11-02 ERROR connection reset", "line__not_a_json_object"),
        (b"null", "line__not_a_json_object"),
        (b'["a"]', "line__not_a_json_object"),
        (b"{}{}", "line__not_json"),
        (b"{},{}", "line__not_json"),
        (b'{"a": 1},{"b": 2}', "line__not_json"),
        (b'{"request_id": "a",}', "line__not_json"),
        (b'{"spend": 1e999999999999}', "request_id__missing"),
        (b"{" * 5000 + b"}", "line__not_json"),
        (b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "line__not_json"),
        (b'{"request_id": ' + b"9" * 5000 + b"}", "line__not_json"),
        (b"{}", "request_id__missing"),
    ],
)
def test_a_bad_line_is_refused_alone(bad: bytes, rule: str) -> None:
    good = THREE.encode()
    outcome = outcome_of(good + bad + b"\n" + good.replace(b"req-", b"more-"))

    assert list(outcome.refused) == [4]
    assert outcome.refused[4].startswith(rule)
    assert ids(outcome) == ["req-1", "req-2", "req-3", "more-1", "more-2", "more-3"]


def test_two_records_that_share_their_lines_are_never_mixed() -> None:
    """Joined by a comma these four lines are four JSON values; each alone is none."""
    halves = ['{"a":1},{"request_id":"x', '"}', '{"a":1},{"request_id":"y}', '{"}']
    outcome = outcome_of("\n".join([line(), *halves]))

    assert ids(outcome) == ["req-1"]
    assert list(outcome.refused) == [2, 3, 4, 5]


def test_quarantine_quotes_the_first_4096_characters() -> None:
    outcome = outcome_of(f"{line()}\n{'ä' * 9000}\n")

    assert outcome.quarantine["raw_text"].to_list() == ["ä" * 4096]


def test_a_line_too_long_to_read_is_quarantined_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 14)
    long_but_readable = line(request_id="long", messages="x" * 9000)
    too_long = line(request_id="too long", messages="x" * 40_000)
    outcome = outcome_of(f"{line()}\n{too_long}\n{long_but_readable}\n{too_long}\n{line(request_id='last')}\n{too_long}")

    assert ids(outcome) == ["req-1", "long", "last"]
    assert outcome.usage["raw_ordinal"].to_list() == [1, 3, 5]
    assert outcome.refused == {2: "line__too_long", 4: "line__too_long", 6: "line__too_long"}
    assert outcome.quarantine["raw_text"][0] == too_long[:4096]


def test_a_line_without_end_refuses_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1 << 13)
    monkeypatch.setattr(lines, "MAX_SKIPPED_BYTES", 1 << 16)

    assert "longer than" in refusal_of(gzip.compress(b'{"a": "' + b"0" * (1 << 20)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (THREE.encode("utf-16"), "UTF-16"),
        (THREE.encode("utf-16-le"), "UTF-16"),
        (THREE.encode("utf-16-be"), "UTF-16"),
        (THREE.encode("utf-32"), "UTF-32"),
        (json.dumps([json.loads(line())]), "JSON array"),
        (json.dumps([json.loads(line())], indent=2), "JSON array"),
        (json.dumps(json.loads(line()), indent=2), "not JSON lines"),
        ("request_id,spend\nreq-1,0.1\nreq-2,0.2\n", "not JSON lines"),
        ("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n", "not JSON lines"),
        (bytes(range(256)) * 10, "not JSON lines"),
        ('{"object": "page", "data": [], "has_more": false}\n', "not LiteLLM SpendLogs"),
        (gzip.compress(THREE.encode())[:-12], "cut or damaged"),
        (gzip.compress(THREE.encode() * 500)[:600], "cut or damaged"),
        (gzip.compress(THREE.encode())[:30] + b"?" + gzip.compress(THREE.encode())[31:], "cut or damaged"),
        (gzip.compress(THREE.encode()) + b"garbage behind the end", "cut or damaged"),
        (zstd.compress(THREE.encode())[:-5], "cut or damaged"),
        (zstd.compress(THREE.encode())[:40] + b"??" + zstd.compress(THREE.encode())[42:], "cut or damaged"),
        (b"\x1f\x8b", "cut or damaged"),
        (b"\x28\xb5\x2f\xfd", "cut or damaged"),
    ],
)
def test_a_file_that_is_something_else_is_refused_whole_and_says_what(content: bytes | str, what: str) -> None:
    assert what in refusal_of(content)


@settings(max_examples=60)
@given(
    parts=st.lists(
        st.sampled_from(
            [line(), line(metadata='{"status": "success"}'), "", "  ", "garbage", '{"a": "é"}', '{"request_id": "x"}', "{"]
        ),
        max_size=12,
    ),
    block_bytes=st.integers(min_value=16, max_value=3000),
    has_last_end=st.booleans(),
)
def test_blocks_of_any_size_give_the_same_rows(parts: list[str], block_bytes: int, has_last_end: bool) -> None:
    content = line(request_id="first") + "\n" + "\n".join(parts) + ("\n" if has_last_end else "")
    whole = outcome_of(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK_BYTES", block_bytes)
        in_blocks = outcome_of(content)

    assert in_blocks.usage.equals(whole.usage)
    assert in_blocks.refused == whole.refused
    assert whole.rows_read == sum(bool(text.strip()) for text in content.split("\n"))


def test_physical_lines_are_counted_without_reading_json() -> None:
    content = b'{"a": 1}\n\n\xff\n{"b": 2}'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(content)
        (block,) = lines.read_line_blocks(path, "gateway")

    assert (block.first_ordinal, block.lines_count) == (1, 4)


def test_records_of_several_days_are_all_read() -> None:
    starts = ["2026-10-31 23:59:59.999999", "2026-11-01 00:00:00.000000", "2026-11-02 12:00:00.000000"]
    content = "\n".join(line(request_id=start, startTime=start, endTime=None) for start in starts)

    assert [str(day) for day in outcome_of(content).usage["usage_date"]] == ["2026-10-31", "2026-11-01", "2026-11-02"]


def test_the_role_and_account_of_the_source_stand_on_every_row() -> None:
    context = dataclasses.replace(CONTEXT, role="reconciliation", source_account="us-2")
    row = outcome_of(line(), context=context).row

    assert (row["source_role"], row["source_account"]) == ("reconciliation", "us-2")


def test_parsing_yields_as_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 4096)
    path = tmp_path / "log"
    path.write_text(THREE * 30)
    batches = list(parse(path, CONTEXT))

    assert len(batches) > 3
    assert sum(batch.rows_read for batch in batches) == 90
