"""The log files: every field of the gateway's table, the dirt of real exports, and counts that close."""

import gzip
import json
from collections import Counter

from usage_etl.demo.dirt import DUPLICATE_KINDS, QUARANTINED_KINDS

SPEND_LOG_FIELDS = {
    "request_id", "litellm_call_id", "call_type", "api_key", "spend", "total_tokens", "prompt_tokens", "completion_tokens",
    "startTime", "endTime", "completionStartTime", "request_duration_ms", "model", "model_id", "model_group",
    "custom_llm_provider", "api_base", "user", "metadata", "cache_hit", "cache_key", "request_tags", "team_id",
    "organization_id", "end_user", "requester_ip_address", "messages", "response", "session_id", "status",
    "mcp_namespaced_tool_name", "agent_id", "billing_agent_id", "proxy_server_request", "created_at", "updated_at",
}  # fmt: skip


def test_every_row_has_every_field_of_the_spend_log_table(demo):
    whole = [row for row in demo.rows if "startTime" in row]
    assert {frozenset(row) for row in whole} == {frozenset(SPEND_LOG_FIELDS)}


def test_lines_are_requests_copies_and_refused_lines_and_nothing_else(demo):
    summary = demo.summary
    lines_count = len(demo.rows) + len(demo.unreadable_lines)
    assert lines_count == summary.written.log_lines_count
    assert lines_count == summary.usage.requests_count + summary.duplicates_count + summary.quarantined_count
    assert len(demo.newest) == summary.usage.requests_count


def test_every_kind_of_dirt_is_there(demo):
    kinds = {*QUARANTINED_KINDS, *DUPLICATE_KINDS, "late_rows", "rows_in_another_days_file", "files_with_bom", "refused_files"}
    assert {kind for kind in kinds if not demo.summary.dirt.get(kind)} == set()


def test_damaged_rows_have_a_good_copy(demo):
    good = demo.newest
    damaged = [row for row in demo.rows if "startTime" not in row or row["prompt_tokens"] == "n/a" or row["total_tokens"] < 0]
    assert len(damaged) == sum(demo.summary.dirt[kind] for kind in ("missing_start_time", "string_tokens", "negative_tokens"))
    assert all(row["request_id"] in good for row in damaged)


def test_a_cut_last_line_comes_again_whole_in_the_next_file(demo):
    scenario, folder = demo.summary.scenario, demo.folder / "landing" / "litellm"
    text = gzip.decompress((folder / f"spend_logs_{scenario.back(25)}.jsonl.gz").read_bytes()).decode()
    rest = text.rsplit("\n", 1)[1]
    assert rest
    assert not text.endswith("\n")
    assert rest in gzip.decompress((folder / f"spend_logs_{scenario.back(24)}.jsonl.gz").read_bytes()).decode()


def test_one_file_begins_with_a_byte_order_mark(demo):
    files = sorted((demo.folder / "landing" / "litellm").glob("*.gz"))
    assert sum(gzip.decompress(path.read_bytes()).startswith(b"\xef\xbb\xbf") for path in files) == 1


def test_a_redelivered_file_is_the_same_bytes_under_another_name(demo):
    folder = demo.folder / "landing" / "litellm"
    (copy,) = folder.glob("*_redelivered.jsonl.gz")
    assert copy.read_bytes() == (folder / copy.name.replace("_redelivered", "")).read_bytes()


def test_one_file_is_no_log_at_all(demo):
    (page,) = (demo.folder / "landing" / "litellm").glob("*.jsonl")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_late_file_holds_only_rows_of_its_past_day(demo):
    scenario = demo.summary.scenario
    (late,) = (demo.folder / "landing" / "litellm").glob("*_late_*")
    days = {json.loads(line)["startTime"][:10] for line in gzip.decompress(late.read_bytes()).decode().splitlines()}
    assert days == {str(scenario.late_day)}
    assert str(scenario.late_delivery) in late.name


def test_metadata_turns_from_text_to_object_at_the_upgrade(demo):
    folder, scenario = demo.folder / "landing" / "litellm", demo.summary.scenario
    kinds = {}
    for name, day in (("before", scenario.back(65)), ("on", scenario.gateway_upgrade), ("after", scenario.back(63))):
        lines = gzip.decompress((folder / f"spend_logs_{day}.jsonl.gz").read_bytes()).decode().splitlines()
        kinds[name] = {type(json.loads(line)["metadata"]) for line in lines}
    assert kinds == {"before": {str}, "on": {str, dict}, "after": {dict}}


def test_an_updated_row_has_a_later_version_with_more_tokens(demo):
    versions = {}
    for row in demo.rows:
        versions.setdefault(row["request_id"], set()).add((row["updated_at"], row["total_tokens"]))
    changed = [sorted(pairs) for pairs in versions.values() if len({stamp for stamp, _ in pairs}) > 1]
    assert len(changed) == demo.summary.dirt["updated_rows"]
    assert all(pairs[0][1] < pairs[-1][1] for pairs in changed)


def test_retries_share_their_call_and_differ_in_their_request(demo):
    calls = Counter(row["litellm_call_id"] for row in demo.newest.values())
    retried = {call for call, count in calls.items() if count > 1}
    assert len(retried) == demo.summary.usage.kinds["retried"] > 0
    statuses = {call: [] for call in retried}
    for row in demo.newest.values():
        if row["litellm_call_id"] in statuses:
            statuses[row["litellm_call_id"]].append(row["status"])
    assert all(sorted(found) == ["failure", "success"] for found in statuses.values())


def test_gateway_cache_hits_cost_nothing_and_say_so_in_their_id(demo):
    hits = [row for row in demo.newest.values() if row["cache_hit"] == "True"]
    assert len(hits) == demo.summary.usage.kinds["cache_hits"] > 0
    assert all("_cache_hit" in row["request_id"] and row["spend"] == 0 and row["total_tokens"] > 0 for row in hits)


def test_the_gateway_knows_no_price_for_the_self_hosted_model(demo):
    unknown = [row for row in demo.newest.values() if row["model"] == "internal-llama-ft"]
    assert (
        sum(row["cache_hit"] != "True" and row["total_tokens"] > 0 for row in unknown) == demo.summary.usage.kinds["unpriced"] > 0
    )
    assert {row["spend"] for row in unknown} == {0.0}


def test_usage_details_never_exceed_their_class(demo):
    for row in demo.newest.values():
        usage = row["metadata"]["usage_object"]
        if usage is None:
            assert row["total_tokens"] == 0
            continue
        details = usage["prompt_tokens_details"] or {}
        cached = (details.get("cached_tokens") or 0) + (details.get("cache_creation_tokens") or 0)
        reasoning = (usage["completion_tokens_details"] or {}).get("reasoning_tokens", 0)
        assert cached <= row["prompt_tokens"] == usage["prompt_tokens"]
        assert reasoning <= row["completion_tokens"] == usage["completion_tokens"]
        assert row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]


def test_instants_of_a_row_are_in_order(demo):
    assert all(
        row["startTime"] <= row["completionStartTime"] <= row["endTime"] <= row["updated_at"] for row in demo.newest.values()
    )


def test_prompts_and_answers_are_short_and_there(demo):
    texts = {(len(json.dumps(row["messages"])), len(json.dumps(row["response"]))) for row in demo.newest.values()}
    assert all(40 < prompt < 300 and answer < 300 for prompt, answer in texts)
