"""OpenAI's organization costs and completions usage, as saved API pages. Amounts are JSON numbers with all their digits."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal

from usage_etl.demo.bill import BillKey, BillLine, Lines
from usage_etl.demo.pulls import Page, pages
from usage_etl.demo.requests import SECONDS_PER_DAY, day_seconds
from usage_etl.demo.scenario import Scenario

PROJECTS: Mapping[str, str] = {
    "interactive": "proj_Kq3vZt81XbWmLrT0aYcN5uHd",
    "psa": "proj_9dLwPz5RkQvB2mXjTn7YsEoC",
    "crm": "proj_b4UyGh0SxMfVr6NqKc2ZiWpA",
    "defend": "proj_T7oJaXe3LnDvQ1hRzK8wCmFs",
    "voice": "proj_m2FyWk6PbZsN9tGxUr4LqVhE",
    "books": "proj_H8cRvTn1YjXoM5pLwSd3KzQb",
    "rmm": "proj_Z5gNqBx7WtKfA0yUeJr6MvLi",
    "ai-platform": "proj_x1SmDp4VhLcRz8QnGt9BwKyT",
    "sandbox": "proj_0PtEoXvJ2kYsUa7WfHr5NbMc",
}
PROMOTIONAL_CREDIT = Decimal("-180.00")
_CLASS_WORDS = {0: "input", 1: "cached input", 4: "output"}
_SMALL = Decimal("0.0001")


def cost_files(scenario: Scenario, by_day: dict[dt.date, Lines]) -> Iterator[tuple[str, str]]:
    """(file name, text) of each costs page, grouped by project and line item."""
    for page in pages(scenario):
        buckets = [_bucket(day, _cost_results(scenario, page.lines(by_day, day), day)) for day in page.days]
        yield page.file_name("costs"), _page(page, buckets)


def usage_files(scenario: Scenario, by_day: dict[dt.date, Lines]) -> Iterator[tuple[str, str]]:
    """(file name, text) of each completions usage page, grouped by project, model, batch and service tier."""
    for page in pages(scenario):
        buckets = [_bucket(day, _usage_results(page.lines(by_day, day))) for day in page.days]
        yield page.file_name("usage_completions"), _page(page, buckets)


def _page(page: Page, buckets: list[str]) -> str:
    more = f'"has_more": {json.dumps(page.has_more)}, "next_page": {json.dumps(page.next_page())}'
    return f'{{"object": "page", {more}, "data": [\n{_joined(buckets)}\n]}}\n'


def _bucket(day: dt.date, results: list[str]) -> str:
    start = day_seconds(day)
    body = f"[\n{_joined(results)}\n]" if results else "[]"
    return f'{{"object": "bucket", "start_time": {start}, "end_time": {start + SECONDS_PER_DAY}, "results": {body}}}'


def _joined(parts: list[str]) -> str:
    return ",\n".join(parts)


def _cost_results(scenario: Scenario, lines: Lines, day: dt.date) -> list[str]:
    charged: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for key, line in lines:
        for index, words in _CLASS_WORDS.items():
            if line.tokens[index]:
                charged[PROJECTS[key.project], _line_item(key, words)] = (line.amount(index), line.tokens[index])
    results = [_cost(project, item, amount, quantity) for (project, item), (amount, quantity) in charged.items()]
    if day == scenario.promotional_credit:
        results.append(_cost(None, "Promotional credit", PROMOTIONAL_CREDIT, None))
    return results


def _line_item(key: BillKey, words: str) -> str:
    prefix = "" if key.processing == "standard" else f"{key.processing} | "
    return f"{prefix}{key.model.billed_name}, {words}{', long context' if key.is_long else ''}"


def _cost(project: str | None, line_item: str, amount: Decimal, quantity: int | None) -> str:
    unit = "null" if quantity is None else '"tokens"'
    return (
        f'{{"object": "organization.costs.result", "amount": {{"value": {number(amount)}, "currency": "usd"}}, '
        f'"line_item": {json.dumps(line_item)}, "project_id": {json.dumps(project)}, "api_key_id": null, '
        f'"quantity": {json.dumps(quantity)}, "quantity_unit": {unit}}}'
    )


def number(amount: Decimal) -> str:
    """A JSON number that is exactly ``amount``; small ones with an exponent, as JSON writers print them."""
    plain = amount.normalize()
    if 0 < abs(plain) < _SMALL:
        return f"{plain:e}"
    text = f"{plain:f}"
    return text if "." in text else f"{text}.0"


def _usage_results(lines: Lines) -> list[str]:
    grouped: dict[tuple[str, str, str], BillLine] = {}
    for key, line in lines:
        if key.model.operation == "aembedding":
            continue
        group = (PROJECTS[key.project], key.model.billed_name, key.processing)
        total = grouped.setdefault(group, BillLine(line.rates))
        total.requests_count += line.requests_count
        total.tokens = [left + right for left, right in zip(total.tokens, line.tokens, strict=True)]
    return [_usage(project, model, processing, line) for (project, model, processing), line in grouped.items()]


def _usage(project: str, model: str, processing: str, line: BillLine) -> str:
    fresh, cached, output = line.tokens[0], line.tokens[1], line.tokens[4]
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": fresh + cached,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": 0,
        "input_uncached_tokens": fresh,
        "output_tokens": output,
        "input_text_tokens": fresh,
        "output_text_tokens": output,
        "input_cached_text_tokens": cached,
        "input_audio_tokens": 0,
        "input_cached_audio_tokens": 0,
        "output_audio_tokens": 0,
        "input_image_tokens": 0,
        "input_cached_image_tokens": 0,
        "output_image_tokens": 0,
        "num_model_requests": line.requests_count,
        "project_id": project,
        "user_id": None,
        "api_key_id": None,
        "model": model,
        "batch": processing == "batch",
        "service_tier": "default",
    }
    return json.dumps(result)
