"""The bills: exact to the last digit, restated by later pulls, and equal to the logged traffic but for what bypassed it."""

import datetime as dt
import json
from collections import Counter, defaultdict
from decimal import Decimal

from usage_etl.demo.openai_pages import number
from usage_etl.demo.pulls import pages
from usage_etl.demo.scenario import Scenario


def month_of(bucket: str) -> str:
    day = dt.datetime.fromtimestamp(int(bucket), tz=dt.UTC).date() if bucket.isdigit() else dt.date.fromisoformat(bucket[:10])
    return f"{day:%Y-%m}"


def billed(demo, provider):
    """(month, is credit) to dollars, as the pages say."""
    sums = defaultdict(Decimal)
    stem = "costs" if provider == "openai" else "cost_report"
    for bucket, results in demo.buckets(provider, stem).items():
        for result in results:
            amount = result["amount"]["value"] if provider == "openai" else Decimal(result["amount"]) / 100
            sums[month_of(bucket), amount < 0] += amount
    return sums


def test_pages_add_up_to_the_truth_after_restatement(demo):
    billing = demo.summary.billing
    for provider in ("openai", "anthropic"):
        sums = billed(demo, provider)
        for (name, month), amount in billing.usage.items():
            if name == provider:
                assert sums[month, False] == amount
                assert sums[month, True] == billing.credits.get((provider, month), 0)


def test_bills_are_the_logged_traffic_and_a_named_remainder(demo):
    billing, usage = demo.summary.billing, demo.summary.usage
    for key, amount in billing.usage.items():
        assert amount - billing.unexplained[key] == usage.provider_cost[key]


def test_one_percent_of_one_month_bypassed_the_gateway(demo):
    billing, month = demo.summary.billing, str(demo.summary.scenario.previous_month)
    share = billing.unexplained["openai", month] / billing.usage["openai", month]
    assert Decimal("0.01") < share < Decimal("0.013")
    assert {key for key, amount in billing.unexplained.items() if amount} == {("openai", month)}


def test_amounts_are_json_numbers_with_many_digits_and_strings_of_cents(demo):
    openai = [r["amount"]["value"] for results in demo.buckets("openai", "costs").values() for r in results]
    anthropic = [r["amount"] for results in demo.buckets("anthropic", "cost_report").values() for r in results]
    assert all(isinstance(amount, Decimal) for amount in openai)
    assert all(isinstance(amount, str) for amount in anthropic)
    assert max(-amount.as_tuple().exponent for amount in openai) >= 8


def test_small_amounts_keep_their_digits():
    for text in ("0.0000123", "-250.00", "12", "0.1", "1234.567890123"):
        assert Decimal(number(Decimal(text))) == Decimal(text)
        assert isinstance(json.loads(number(Decimal(text))), float)
    assert number(Decimal("0.0000123")) == "1.23e-5"


def test_credits_are_negative_lines_without_a_project(demo):
    lines = [r for results in demo.buckets("openai", "costs").values() for r in results if r["amount"]["value"] < 0]
    assert [(line["line_item"], line["project_id"]) for line in lines] == [("Promotional credit", None)]
    reports = [r for results in demo.buckets("anthropic", "cost_report").values() for r in results if r["amount"].startswith("-")]
    assert [(report["amount"], report["model"]) for report in reports] == [("-25000", None)]


def test_line_items_tell_batch_and_long_context(demo):
    items = {r["line_item"] for results in demo.buckets("openai", "costs").values() for r in results}
    assert {"gpt-5.6-sol, input", "gpt-5.6-sol, cached input", "gpt-5.6-sol, output, long context"} <= items
    assert "batch | gpt-5.2-2025-12-11, input" in items


def test_provider_usage_counts_the_same_tokens_as_the_logs(demo):
    logged = Counter()
    for row in demo.newest.values():
        if row["custom_llm_provider"] == "anthropic" and row["cache_hit"] != "True":
            logged[row["startTime"][:10]] += row["total_tokens"]
    reported = Counter()
    for bucket, results in demo.buckets("anthropic", "usage_report_messages").items():
        for r in results:
            writes = sum(r["cache_creation"].values())
            reported[bucket[:10]] += r["uncached_input_tokens"] + r["cache_read_input_tokens"] + writes + r["output_tokens"]
    assert +reported == +logged


def test_every_day_is_in_some_pull_and_idle_days_are_empty_buckets(demo):
    scenario = demo.summary.scenario
    buckets = demo.buckets("anthropic", "cost_report")
    assert {str(day) for day in scenario.days()} <= {bucket[:10] for bucket in buckets}
    assert [results for bucket, results in sorted(buckets.items()) if bucket[:10] < str(scenario.first_day)] == [[], []]


def test_the_last_day_of_a_pull_is_unfinished_until_the_next():
    scenario = Scenario.of(seed=1, days=30, as_of=dt.date(2026, 11, 19))
    found = list(pages(scenario))
    unfinished = {page.unfinished_day for page in found} - {None}
    assert unfinished
    for day in unfinished:
        whole = [page for page in found if day in page.days and page.unfinished_day != day]
        assert min(page.pulled_on for page in whole) > day


def test_a_later_pull_restates_the_unfinished_day(demo):
    shown = defaultdict(list)
    for path in sorted((demo.folder / "landing" / "anthropic").glob("cost_report_*")):
        for bucket in json.loads(path.read_text(encoding="utf-8"))["data"]:
            shown[bucket["starting_at"]].append(sum(Decimal(result["amount"]) for result in bucket["results"]))
    restated = [amounts for amounts in shown.values() if len(set(amounts)) > 1]
    assert len(restated) >= 3
    assert all(Decimal("0.4") < early / final < Decimal("0.6") for early, final in restated)


def test_pages_follow_each_other_by_cursor(demo):
    for path in (demo.folder / "landing" / "openai").glob("costs_*"):
        page = json.loads(path.read_text(encoding="utf-8"))
        assert page["has_more"] == (page["next_page"] is not None) == path.name.endswith("_page_1.json")
