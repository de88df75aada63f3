"""OpenAI's own published types are the oracle: our recorded pages fit them, and no field of theirs is unknown to us."""

import json

import pytest
from openai.types.admin import organization as types

from tests.unit.sources.report_pages import RECORDED
from usage_etl.sources.openai.parse import COSTS, REPORTS


def test_recorded_pages_fit_the_published_types() -> None:
    types.UsageCostsResponse.model_validate_json((RECORDED / "openai" / "costs_page.json").read_text(), extra="forbid")
    for line in (RECORDED / "openai" / "usage_completions_pages.jsonl").read_text().splitlines():
        types.UsageCompletionsResponse.model_validate_json(line, extra="forbid")


@pytest.mark.parametrize(
    ("dataset", "name"), [(COSTS, "organization.costs.result"), ("usage_completions", "organization.usage.completions.result")]
)
def test_every_published_field_is_known(dataset: str, name: str) -> None:
    schema = types.UsageCostsResponse.model_json_schema()
    results = [found for found in schema["$defs"].values() if found["properties"].get("object", {}).get("const") == name]
    assert len(results) == 1, json.dumps(sorted(schema["$defs"]))
    assert set(results[0]["properties"]) <= REPORTS[dataset].fields
