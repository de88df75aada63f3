"""OpenAI's own published types are the oracle: recorded pages fit them, every field of theirs is read or named here."""

import typing
from pathlib import Path
from typing import Any

import pytest
from openai.types.admin import organization as types
from pydantic import BaseModel

from tests.unit.sources.report_pages import RECORDED, number, openai_bucket, openai_page, read, save
from tests.unit.sources.sdk_types import filled, found, leaves, replaced
from usage_etl.sources.openai.fetch import ENDPOINTS
from usage_etl.sources.openai.parse import REPORTS, parse
from usage_etl.sources.openai.settings import ReportName

CLASSES = ("input_uncached_tokens", "input_text_tokens", "input_cached_text_tokens", "output_text_tokens")
NOT_READ = {
    "usage_completions": {*CLASSES, "input_cache_write_30m_tokens", "input_cache_write_12h_tokens"},
    "usage_decisions": {*CLASSES, "input_cache_write_30m_tokens", "input_cache_write_12h_tokens"},
    "usage_web_search_calls": {"num_model_requests"},
}
"""Fields that change no staged row, on purpose: what is left of a class without its other parts; lifetimes where their
sum is sent too; model requests that the completions report counts."""

WHOLE = {"input_tokens": "90", "output_tokens": "50", "input_cached_tokens": "20", "input_cache_write_tokens": "30"}
"""Totals that hold the parts which the generated documents state."""


def results() -> dict[str, type[BaseModel]]:
    """Dataset to the published type of its results."""
    union = typing.get_args(typing.get_args(types.usage_costs_response.DataResult)[0])
    models = [*union, types.usage_decisions_response.DataResult]
    by_object = {typing.get_args(model.model_fields["object"].annotation)[0]: model for model in models}
    names = {"organization.costs.result": "costs", "organization.usage.file_searches.result": "usage_file_search_calls",
             "organization.usage.web_searches.result": "usage_web_search_calls"}  # fmt: skip
    return {names.get(name, f"usage_{name.split('.')[2]}"): model for name, model in by_object.items()}


RESULTS = results()


def documents(dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two results with every documented field filled, with different values."""
    first, second = (filled(RESULTS[dataset], seed=seed) for seed in (0, 1))
    for name, text in WHOLE.items():
        if name in first and "output_tokens" in first:
            first[name], second[name] = number(text), number(str(int(text) + 1))
    if "service_tier" in first:
        first["service_tier"], second["service_tier"] = "flex", "priority"
    if dataset == "costs":
        first["amount"]["currency"], second["amount"]["currency"] = "usd", "eur"
    return first, second


def staged(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """The row that a result becomes, without what only identifies it."""
    parsed = read(parse, save(folder, openai_page(openai_bucket(result))))
    assert parsed.reasons == [], result
    row = (parsed.charges if parsed.charges.height else parsed.usage).row(0, named=True)
    return {name: cell for name, cell in row.items() if name != "event_id"}


def test_every_published_report_is_read_and_no_other() -> None:
    assert set(RESULTS) == set(REPORTS) == set(typing.get_args(ReportName))


def test_recorded_pages_fit_the_published_types() -> None:
    types.UsageCostsResponse.model_validate_json((RECORDED / "openai" / "costs_page.json").read_text(), extra="forbid")
    for line in (RECORDED / "openai" / "usage_completions_pages.jsonl").read_text().splitlines():
        types.UsageCompletionsResponse.model_validate_json(line, extra="forbid")


@pytest.mark.parametrize("path", sorted((RECORDED / "openai").glob("usage_*_page.json")), ids=lambda path: path.stem)
def test_recorded_pages_of_each_report_fit_the_published_types_and_are_read(path: Path) -> None:
    name = path.stem.removesuffix("_page")
    module = getattr(types, f"{name}_response")
    model = next(found for found_name, found in vars(module).items() if found_name.endswith("Response"))
    model.model_validate_json(path.read_text(), extra="forbid")
    parsed = read(parse, path)
    assert parsed.reasons == []
    assert [bucket.bucket_key.split("/")[1] for bucket in parsed.covered] == [name, name]
    assert parsed.usage.height == parsed.rows_read > 0


@pytest.mark.parametrize("dataset", RESULTS)
def test_every_published_field_is_known_and_all_known_ones_exist_or_are_of_downloads(dataset: str) -> None:
    downloads = {"organization_id", "organization_name", "project_name", "user_email"} if dataset == "costs" else set()
    assert REPORTS[dataset].fields == set(RESULTS[dataset].model_fields) | downloads


@pytest.mark.parametrize("dataset", RESULTS)
def test_every_published_field_changes_what_is_staged(tmp_path: Path, dataset: str) -> None:
    first, second = documents(dataset)
    before = staged(tmp_path, first)
    unread = {
        path[0]
        for path in leaves(first)
        if path != ("object",) and staged(tmp_path, replaced(first, path, found(second, path))) == before
    }
    assert unread == NOT_READ.get(dataset, set())


@pytest.mark.parametrize("dataset", RESULTS)
def test_every_optional_field_may_be_null_or_absent(tmp_path: Path, dataset: str) -> None:
    first, _ = documents(dataset)
    optional = [name for name, field in RESULTS[dataset].model_fields.items() if not field.is_required() and name != "amount"]
    modal = {name for name in first if "audio" in name or "image_tokens" in name} if "cached" in str(first) else set()
    for name in optional:
        gone = {name, *modal} if name.startswith("input_cached") else {name}
        without = {key: cell for key, cell in first.items() if key not in gone}
        null = first | dict.fromkeys(gone)
        assert staged(tmp_path, without) == staged(tmp_path, null)


def test_lifetimes_of_cache_writes_count_where_their_sum_is_not_sent(tmp_path: Path) -> None:
    first, _ = documents("usage_completions")
    assert staged(tmp_path, first)["cache_write_tokens"] == 30
    assert staged(tmp_path, first | {"input_cache_write_tokens": None})["cache_write_tokens"] == 6


PARAMETERS = {
    endpoint.dataset: getattr(types, f"usage_{endpoint.path.rpartition('/')[2]}_params") for endpoint in ENDPOINTS
}  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.dataset)
def test_each_report_is_grouped_by_all_dimensions_that_it_has(endpoint: Any) -> None:
    module = PARAMETERS[endpoint.dataset]
    model = next(found for name, found in vars(module).items() if name.endswith("Params"))
    (allowed,) = [
        set(typing.get_args(typing.get_args(one)[0]))
        for one in _unwrapped(typing.get_type_hints(model)["group_by"])
        if typing.get_origin(one) is list
    ]
    asked = {value for name, value in endpoint.parameters if name == "group_by[]"}
    not_together = {"user_id", "api_source"} if endpoint.dataset == "costs" else set()
    assert asked == allowed - not_together
    assert dict(endpoint.parameters)["limit"] == ("180" if endpoint.dataset == "costs" else "31")


def _unwrapped(kind: Any) -> list[Any]:
    return [kind] if typing.get_origin(kind) is list else list(typing.get_args(kind))
