"""Daily sums of LiteLLM: compared by day, replaced by day, never counted."""

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.spend_logs import CONTEXT, outcome_of
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.litellm.parse import parse
from usage_etl.sources.parsed import CoveredBucket

RECORDED = Path(__file__).parents[2] / "recorded" / "litellm" / "daily_user_spend.jsonl"
ROWS = [json.loads(text) for text in RECORDED.read_text().splitlines()]


def line(**changes: Any) -> str:
    return json.dumps({name: cell for name, cell in (ROWS[0] | changes).items() if cell != "absent"})


def covered(content: str) -> list[CoveredBucket]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "daily.jsonl"
        path.write_text(content)
        return [bucket for batch in parse(path, CONTEXT) for bucket in batch.covered]


def test_a_row_is_a_bucket_that_is_compared_only() -> None:
    row = outcome_of(RECORDED.read_bytes()).usage.row(0, named=True)
    wanted = {
        "source_role": "reconciliation",
        "grain": "bucket",
        "bucket_key": "eu-1/daily_spend/2026-11-01",
        "event_id": "0b1c",
        "started_at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        "ended_at": dt.datetime(2026, 11, 2, tzinfo=dt.UTC),
        "usage_date": dt.date(2026, 11, 1),
        "requests_count": 310,
        "status": "unknown",
        "reported_input_tokens": 120000,
        "reported_output_tokens": 30000,
        "cache_read_tokens": 40000,
        "cache_write_tokens": 0,
        "token_convention": "cache_in_input",
        "operation_name": "/chat/completions",
        "host_raw": "openai",
        "model_raw": "gpt-5.2",
        "user_id": "ana",
        "api_key_id": "b" * 64,
        "source_cost_usd": 1.234,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_what_was_used_is_told_by_the_endpoint() -> None:
    assert outcome_of(RECORDED.read_bytes()).usage["primitive"].to_list() == ["ai.chat", "ai.chat", "ai.embed", "ai.chat"]


def test_each_day_is_answered_for_with_its_newest_row_as_version() -> None:
    buckets = covered("\n".join([line(id="1", updated_at="2026-11-01T08:00:00"), line(id="2"), line(id="3", date="2026-10-31")]))

    newest = dt.datetime(2026, 11, 1, 23, 59, 57, 250000, dt.UTC)
    assert buckets == [
        CoveredBucket(STAGED_USAGE.name, f"eu-1/daily_spend/{day}", day=day, version_at=newest)
        for day in (dt.date(2026, 10, 31), dt.date(2026, 11, 1))
    ]


def test_a_row_twice_in_one_file_is_refused_whole() -> None:
    """Two exports one after the other: which one counts cannot be told."""
    with pytest.raises(UnreadableDeliveryError, match="0b1c stands twice"):
        outcome_of(f"{line()}\n{line(api_requests=311)}\n")


def test_rows_without_an_id_are_told_by_what_they_group() -> None:
    outcome = outcome_of("\n".join(line(id="absent", model=model) for model in ("a", "b", None)))
    assert outcome.usage["event_id"].n_unique() == 3
    with pytest.raises(UnreadableDeliveryError, match="stands twice"):
        outcome_of("\n".join([line(id="absent"), line(id="absent", spend=9)]))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"tag": "env:prod", "user_id": "absent"}, "tag__overlaps"),
        ({"date": None}, "date__missing"),
        ({"date": "2026-11-01T08:00:00"}, "date__not_a_day"),
        ({"date": "2026-11-31"}, "date__not_a_time"),
        ({"date": "2026-11-05"}, "date__in_future"),
        ({"date": "1970-01-01"}, "date__too_early"),
        ({"api_requests": None}, "api_requests__missing"),
        ({"api_requests": -1}, "api_requests__out_of_range"),
        ({"spend": "n/a"}, "spend__not_a_number"),
        ({"prompt_tokens": 10}, "cached_tokens__exceed_prompt_tokens"),
    ],
)
def test_a_broken_rule_is_named(changes: dict[str, Any], rule: str) -> None:
    assert outcome_of(f"{line(id='good')}\n{line(**changes)}\n").refused == {2: rule}


def test_sums_of_teams_name_the_team() -> None:
    assert outcome_of(line(user_id="absent", team_id="team-1")).row["team_id"] == "team-1"
