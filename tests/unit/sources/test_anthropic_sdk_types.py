"""Anthropic's own published types are the oracle: recorded pages fit them, every field of theirs is read or named here."""

import datetime as dt
import json
import typing
from pathlib import Path
from typing import Any

import pytest
from anthropic.types.beta import organization as types
from anthropic.types.beta.organization import analytics
from pydantic import BaseModel

from tests.unit.sources.analytics_rows import context_of, flat_page
from tests.unit.sources.report_pages import RECORDED, anthropic_bucket, anthropic_page, read, save
from tests.unit.sources.sdk_types import filled, found, leaves, replaced
from usage_etl.sources.anthropic.families import REPORTS
from usage_etl.sources.anthropic.fetch import _analytics, _enterprise, _enterprise_users
from usage_etl.sources.anthropic.parse import parse
from usage_etl.sources.anthropic.settings import AnthropicSettings, Dimension, Family

TYPES: dict[str, tuple[type[BaseModel], Family]] = {
    "analytics_cost_report": (types.BetaAnalyticsCostBucketedResult, "enterprise"),
    "analytics_usage_report": (types.BetaAnalyticsUsageBucketedResult, "enterprise"),
    "analytics_user_cost_report": (types.BetaAnalyticsCostUsersItem, "enterprise_users"),
    "analytics_user_usage_report": (types.BetaAnalyticsUsageUsersItem, "enterprise_users"),
    "analytics_cost": (analytics.BetaAnalyticsCostItem, "analytics"),
    "analytics_usage": (analytics.BetaAnalyticsUsageItem, "analytics"),
}
"""Dataset to its published type and the family that reads it. The admin family's reports have no published types."""

ACTOR_MEMBERS = {"analytics_cost": 4, "analytics_usage": 4}
"""Kinds of actor that a dataset's rows may have; one where it is not listed."""

PERSONAL = {"email_address", "name", "deleted"}
PLATFORM = {"account_id", "project_number", "subscription_id", "issuer", "provider"}
NOT_READ = {
    "analytics_cost_report": {"requests", "rbac_group_id"},
    "analytics_usage_report": {"rbac_group_id"},
    "analytics_user_cost_report": {"requests", "rbac_group_id", *PERSONAL},
    "analytics_user_usage_report": {"rbac_group_id", *PERSONAL},
    "analytics_cost": {"requests", "rbac_group_id", *PERSONAL, *PLATFORM},
    "analytics_usage": {"rbac_group_id", *PERSONAL, *PLATFORM},
}
"""Fields that change no staged row, on purpose: people's names and addresses, the platform that vouched for a federated
identity, requests beside money (the usage report counts them), and RBAC groups, which refuse the file where they are set."""


def documents(dataset: str, member: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two results with every documented field filled, with different values; amounts are decimals, groups are not set."""
    model, _ = TYPES[dataset]
    made = [filled(model, seed=seed, member=member) for seed in (0, 1)]
    for seed, document in enumerate(made):
        for path in list(leaves(document)):
            if path[-1] in ("amount", "list_amount"):
                found(document, path[:-1])[path[-1]] = f"{seed + 3}.25"
            elif path[-1] == "currency":
                found(document, path[:-1])["currency"] = ("USD", "EUR")[seed]
            elif path[-1] == "rbac_group_id":
                found(document, path[:-1])["rbac_group_id"] = None
            elif path[-1] == "starting_at":
                document["starting_at"], document["ending_at"] = (
                    f"2026-10-0{seed + 1}T00:00:00Z",
                    f"2026-10-0{seed + 2}T00:00:00Z",
                )
    return made[0], made[1]


def staged(folder: Path, dataset: str, result: dict[str, Any]) -> dict[str, Any]:
    """The row that a result becomes, without what only identifies it."""
    is_flat = REPORTS[dataset].is_flat
    page = flat_page(result) if is_flat else anthropic_page(anthropic_bucket(result))
    parsed = read(parse, save(folder, page), context_of(TYPES[dataset][1]))
    assert parsed.reasons == [], result
    assert parsed.covered[0].bucket_key.split("/")[1] == REPORTS[dataset].unit
    row = (parsed.charges if parsed.charges.height else parsed.usage).row(0, named=True)
    return {name: cell for name, cell in row.items() if name != "event_id"}


@pytest.mark.parametrize("dataset", TYPES)
def test_every_published_field_changes_what_is_staged(tmp_path: Path, dataset: str) -> None:
    unread, is_read = set(), set()
    for member in range(ACTOR_MEMBERS.get(dataset, 1)):
        first, second = documents(dataset, member)
        for path in leaves(first):
            if path[-1] in ("starting_at", "ending_at", "type"):
                continue
            base = replaced(first, (*path[:-1], "token_type"), None) if path[-1] == "cost_type" else first
            before = staged(tmp_path, dataset, base)
            changed = staged(tmp_path, dataset, replaced(base, path, found(second, path)))
            (unread if changed == before else is_read).add(path[-2] if path[-2:-1] == ("provider",) else path[-1])
    api_keys = {"api_key_id"} if dataset in ACTOR_MEMBERS else set()  # the actor's own key yields to the request's
    assert unread - api_keys == NOT_READ[dataset] - (PLATFORM - {"provider"})
    assert not is_read & NOT_READ[dataset]


@pytest.mark.parametrize("dataset", TYPES)
def test_every_published_field_is_known(dataset: str) -> None:
    result, _ = documents(dataset, 0)
    flat = REPORTS[dataset].flatten(result)
    assert set(flat) <= REPORTS[dataset].fields
    assert REPORTS[dataset].fields - set(flat) == set()


@pytest.mark.parametrize("dataset", TYPES)
def test_every_optional_field_may_be_null(tmp_path: Path, dataset: str) -> None:
    first, _ = documents(dataset, 0)
    for path in leaves(first):
        model = TYPES[dataset][0] if len(path) == 1 else None
        if model is not None and not model.model_fields[path[0]].is_required() and not path[0].endswith("ing_at"):
            staged(tmp_path, dataset, replaced(first, path, None))


RECORDINGS = {
    "analytics_cost_pages.jsonl": analytics.BetaAnalyticsCostItem,
    "analytics_usage_page.json": analytics.BetaAnalyticsUsageItem,
    "analytics_cost_report_page.json": types.BetaAnalyticsCostReportTimeBucket,
    "analytics_user_usage_page.json": types.BetaAnalyticsUsageUsersItem,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_pages_fit_the_published_types(name: str) -> None:
    text = (RECORDED / "anthropic" / name).read_text()
    pages = [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else [json.loads(text)]
    for element in (element for page in pages for element in page["data"]):
        RECORDINGS[name].model_validate(element, extra="forbid")


def test_dimensions_of_the_settings_are_those_of_the_api_without_overlapping_groups() -> None:
    assert set(typing.get_args(Dimension)) == set(typing.get_args(analytics.BetaAnalyticsUsageGroupBy)) - {"rbac_group_id"}
    assert set(typing.get_args(Dimension)) | {"cost_type", "token_type", "rbac_group_id"} == set(
        typing.get_args(analytics.BetaAnalyticsCostGroupBy)
    )


def test_no_report_is_asked_for_a_dimension_that_it_has_not() -> None:
    first = dt.date(2026, 1, 1)
    default = AnthropicSettings.model_fields["group_by"].default
    endpoints = [*_enterprise(first), *_enterprise_users(first), *_analytics(first, default)]
    parameters = {
        "analytics_cost_report": analytics.cost_report_list_params.CostReportListParams,
        "analytics_usage_report": analytics.usage_report_list_params.UsageReportListParams,
        "analytics_user_cost_report": analytics.user_cost_report_list_params.UserCostReportListParams,
        "analytics_user_usage_report": analytics.user_usage_report_list_params.UserUsageReportListParams,
        "analytics_cost": analytics.cost_list_params.CostListParams,
        "analytics_usage": analytics.usage_list_params.UsageListParams,
    }
    for endpoint in endpoints:
        names = {name.removesuffix("[]") for name, _ in endpoint.parameters}
        hints = typing.get_type_hints(parameters[endpoint.dataset])
        assert names <= set(hints)
        allowed = str(hints["group_by"])
        assert all(f"'{value}'" in allowed for name, value in endpoint.parameters if name == "group_by[]")
        counted = [
            value for name, value in endpoint.parameters if name == "group_by[]" and value not in ("cost_type", "token_type")
        ]
        assert len(counted) <= 5
