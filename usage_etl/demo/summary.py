"""What was written, and the truth about it that no file says outright: for acceptance tests and for the demo's last words."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from usage_etl.demo.anthropic_pages import OUTAGE_CREDIT
from usage_etl.demo.bill import SANDBOX, Bill
from usage_etl.demo.directory_files import Budget
from usage_etl.demo.dirt import DUPLICATE_KINDS, QUARANTINED_KINDS
from usage_etl.demo.finance_files import Invoice
from usage_etl.demo.models import BILLED_PROVIDERS
from usage_etl.demo.openai_pages import PROMOTIONAL_CREDIT
from usage_etl.demo.organization import ROTATED_ALIAS, RUNAWAY_ALIAS, RUNAWAY_TEAM, SHARED_ALIAS, Organization
from usage_etl.demo.quota_files import QuotaStory
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.truth import MonthAmounts, Truth, by_key, dollars
from usage_etl.periods import Month

SETTINGS_NAME = "usage_etl.yaml"


@dataclass(frozen=True)
class WrittenFiles:
    """Files and bytes on disk, by kind and in all."""

    files_count: Mapping[str, int]
    """By kind: litellm, openai_costs, openai_usage, anthropic_costs, anthropic_usage, directory, finance, prices, settings."""
    bytes_count: int
    log_lines_count: int
    """Lines that are not blank in all readable log files."""


@dataclass(frozen=True)
class Runaway:
    """The script out of control."""

    days: tuple[dt.date, ...]
    team_id: str
    api_key_id: str
    requests_count: int
    cost: Decimal


@dataclass(frozen=True)
class Usage:
    """What the logs tell once they are read, cleaned and priced. Amounts are exact dollars."""

    requests_count: int
    """Distinct requests, failed attempts and gateway cache hits included."""
    requests_by_day: Mapping[dt.date, int]
    kinds: Mapping[str, int]
    """Distinct requests: failed, failed_midway (billed), cache_hits, unpriced, without_usage, batch, long_context.

    ``retried`` counts calls with more than one attempt.
    """
    provider_cost: MonthAmounts
    """By provider that made the model."""
    team_cost: MonthAmounts
    """By team on the day, ``unallocated`` included."""
    model_cost: MonthAmounts
    feature_cost: MonthAmounts
    """The empty feature is usage without a feature tag."""


@dataclass(frozen=True)
class Billing:
    """What the bills say, by (billing provider, month), in exact dollars."""

    usage: MonthAmounts
    """Usage charges, credits apart."""
    credits: MonthAmounts
    unexplained: MonthAmounts
    """Of usage, what bypassed the gateway: usage - unexplained = logged usage at true prices, to the last digit."""


@dataclass(frozen=True)
class DemoSummary:
    """The demo as written below ``target``."""

    target: Path
    scenario: Scenario
    written: WrittenFiles
    usage: Usage
    billing: Billing
    dirt: Mapping[str, int]
    """Injected rows, lines or files by kind."""
    duplicates_count: int
    """Log rows that are further copies of a counted request."""
    quarantined_count: int
    """Log lines that must be refused; log lines = requests + duplicates + quarantined."""
    runaway: Runaway | None
    mover_user_id: str
    mover_teams: tuple[str, str]
    """Before and from ``scenario.team_move``."""
    rotated_key_ids: tuple[str, str]
    """Before and from ``scenario.key_rotation``."""
    stranger_user_id: str
    stranger_key_id: str
    shared_key_id: str
    """Key whose cost two teams share."""
    shared_key_owners: tuple[tuple[str, int], ...]
    """Who pays which percent of it; the first is who usage shows."""
    budgets: tuple[Budget, ...]
    invoices: tuple[Invoice, ...]
    quotas: QuotaStory

    @property
    def settings_path(self) -> Path:
        """The settings file that reads this demo."""
        return self.target / SETTINGS_NAME


def summarize(
    target: Path,
    scenario: Scenario,
    organization: Organization,
    *,
    written: WrittenFiles,
    truth: Truth,
    billing: Billing,
    invoices: tuple[Invoice, ...],
    dirt: Counter[str],
    budgets: tuple[Budget, ...],
    quotas: QuotaStory,
) -> DemoSummary:
    """The summary of one written demo."""
    shared = organization.key(SHARED_ALIAS, scenario.first_day)
    old_key, new_key = (key for key in organization.keys if key.alias == ROTATED_ALIAS)
    moved_from, moved_to = organization.mover.teams
    return DemoSummary(
        target=target,
        scenario=scenario,
        written=written,
        usage=_usage(truth),
        billing=billing,
        dirt=dict(sorted(dirt.items())),
        duplicates_count=sum(dirt[kind] for kind in DUPLICATE_KINDS),
        quarantined_count=sum(dirt[kind] for kind in QUARANTINED_KINDS),
        runaway=_runaway(scenario, organization, truth),
        mover_user_id=organization.mover.user_id,
        mover_teams=(moved_from[0], moved_to[0]),
        rotated_key_ids=(old_key.key_id, new_key.key_id),
        stranger_user_id=organization.stranger_user_id,
        stranger_key_id=organization.stranger_key.key_id,
        shared_key_id=shared.key_id,
        shared_key_owners=tuple((team, percent or 100) for team, percent in shared.owners),
        budgets=budgets,
        invoices=invoices,
        quotas=quotas,
    )


def _usage(truth: Truth) -> Usage:
    return Usage(
        requests_count=sum(truth.requests.values()),
        requests_by_day=dict(truth.requests),
        kinds=dict(sorted(truth.kinds.items())),
        provider_cost=by_key(truth.providers),
        team_cost=by_key(truth.teams),
        model_cost=by_key(truth.models),
        feature_cost=by_key(truth.features),
    )


def billing_of(scenario: Scenario, bill: Bill) -> Billing:
    """What the bills of the window say, credits that were granted within it included."""
    months = sorted({Month.of(day) for day in scenario.days()})
    pairs = [(provider, month) for provider in BILLED_PROVIDERS for month in months]
    dated = (
        ("anthropic", scenario.outage_credit, OUTAGE_CREDIT),
        ("openai", scenario.promotional_credit, PROMOTIONAL_CREDIT),
    )
    return Billing(
        usage={(provider, str(month)): bill.total(provider, month) for provider, month in pairs},
        credits={(provider, str(Month.of(day))): amount for provider, day, amount in dated if scenario.covers(day)},
        unexplained={(provider, str(month)): bill.total(provider, month, project=SANDBOX) for provider, month in pairs},
    )


def _runaway(scenario: Scenario, organization: Organization, truth: Truth) -> Runaway | None:
    if not truth.runaway_requests:
        return None
    key = organization.key(RUNAWAY_ALIAS, scenario.runaway_days[0])
    days = tuple(day for day in scenario.runaway_days if scenario.covers(day))
    return Runaway(days, RUNAWAY_TEAM, key.key_id, truth.runaway_requests, dollars(truth.runaway))
