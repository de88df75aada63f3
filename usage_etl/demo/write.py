"""Writes the demo organisation as files: logs, bills, directories, prices and a settings file that reads them."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from usage_etl.demo import anthropic_pages, openai_pages
from usage_etl.demo.bill import SANDBOX, Bill, add_bypass
from usage_etl.demo.directory_files import Budget, contract_file, directory_files, planned_budgets
from usage_etl.demo.dirt import DUPLICATE_KINDS, QUARANTINED_KINDS
from usage_etl.demo.litellm_files import LogFiles
from usage_etl.demo.litellm_rows import RowWriter
from usage_etl.demo.models import BILLED_PROVIDERS
from usage_etl.demo.organization import ROTATED_ALIAS, RUNAWAY_ALIAS, RUNAWAY_TEAM, Organization, build_organization
from usage_etl.demo.rates import RateCard
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.settings_file import FIRST_LINE, settings_text
from usage_etl.demo.traffic import all_requests
from usage_etl.demo.truth import Truth, by_key, dollars
from usage_etl.errors import ConfigError
from usage_etl.periods import Month

DEFAULT_SEED = 2026
DEFAULT_DAYS = 95
DEFAULT_AS_OF = dt.date(2026, 11, 19)
SETTINGS_NAME = "usage_etl.yaml"

MonthAmounts = Mapping[tuple[str, str], Decimal]
"""(provider or team, month as YYYY-MM) to dollars."""


@dataclass(frozen=True)
class Runaway:
    """The script out of control."""

    days: tuple[dt.date, ...]
    team_id: str
    api_key_id: str
    requests_count: int
    cost: Decimal


@dataclass(frozen=True)
class DemoSummary:
    """What was written, and the truth about it that no file says outright. Amounts are exact dollars."""

    target: Path
    first_day: dt.date
    as_of: dt.date
    files_count: Mapping[str, int]
    """By kind: litellm, openai_costs, openai_usage, anthropic_costs, anthropic_usage, directory, prices, settings."""
    bytes_count: int
    log_lines_count: int
    """Lines that are not blank in all readable log files: requests + duplicates + quarantined."""
    requests_count: int
    requests_by_month: Mapping[str, int]
    duplicates_count: int
    quarantined_count: int
    dirt: Mapping[str, int]
    """Injected rows, lines or files by kind."""
    kinds: Mapping[str, int]
    """Distinct requests by kind: failed, failed_midway, retried, cache_hits, unpriced, without_usage, batch, long_context."""
    metered_cost: MonthAmounts
    """True price of logged usage, by provider that made the model."""
    team_cost: MonthAmounts
    """The same money by team on the day, ``unallocated`` included."""
    billed_cost: MonthAmounts
    """Usage charges by billing provider, credits apart."""
    credits: MonthAmounts
    unexplained_cost: MonthAmounts
    """Of billed_cost, what bypassed the gateway; billed_cost - unexplained_cost = metered_cost, to the last digit."""
    runaway: Runaway | None
    mover_user_id: str
    mover_teams: tuple[str, str]
    rotated_key_ids: tuple[str, str]
    stranger_user_id: str
    stranger_key_id: str
    budgets: tuple[Budget, ...]

    @property
    def settings_path(self) -> Path:
        return self.target / SETTINGS_NAME


def write_demo(target: Path, *, seed: int = DEFAULT_SEED, days: int = DEFAULT_DAYS, as_of: dt.date = DEFAULT_AS_OF) -> DemoSummary:
    """Write the demo below ``target`` and say what is true of it; the same arguments give the same bytes.

    An earlier demo there is replaced; its lake and reports are left alone. Raises ConfigError when the folder holds
    something else, and ValueError for fewer than one day.
    """
    scenario = Scenario.of(seed=seed, days=days, as_of=as_of)
    _clear(target)
    organization = build_organization(scenario)
    card = RateCard(scenario)
    by_day = all_requests(scenario, organization)
    truth, bill = Truth(), Bill(card)
    for day, requests in by_day.items():
        truth.add(requests, organization=organization, card=card, day=day)
        bill.add_all(requests)
    add_bypass(bill, scenario)
    budgets = planned_budgets(scenario, truth)
    output = _Output(target)
    dirt: Counter[str] = Counter()
    lines_count = 0
    for file in LogFiles(scenario, RowWriter(scenario, organization), dirt).files(by_day):
        output.write("litellm", f"landing/litellm/{file.name}", file.content)
        lines_count += file.lines_count
    _write_bills(output, scenario, bill)
    output.write_texts("directory", "directory", directory_files(organization, budgets))
    output.write_texts("prices", "prices", [("contract.csv", contract_file(scenario))])
    output.write_texts("settings", ".", [(SETTINGS_NAME, settings_text(scenario))])
    return _summary(scenario, organization, output, truth, bill, dirt, lines_count, budgets)


class _Output:
    """Writes files below one folder and counts them."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.files: Counter[str] = Counter()
        self.bytes_count = 0

    def write(self, kind: str, name: str, content: bytes) -> None:
        path = self.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files[kind] += 1
        self.bytes_count += len(content)

    def write_texts(self, kind: str, folder: str, texts: Iterable[tuple[str, str]]) -> None:
        for name, text in texts:
            self.write(kind, f"{folder}/{name}", text.encode())


def _clear(target: Path) -> None:
    """Make way for the demo: only an empty folder, or an earlier demo, may be written over."""
    if not target.exists() or not any(target.iterdir()):
        return
    settings = target / SETTINGS_NAME
    if not settings.is_file() or not settings.read_text(encoding="utf-8").startswith(FIRST_LINE):
        raise ConfigError(str(target), ["is not empty and holds no demo; name a new or an empty folder for it"])
    for name in ("landing", "directory", "prices"):
        shutil.rmtree(target / name, ignore_errors=True)


def _write_bills(output: _Output, scenario: Scenario, bill: Bill) -> None:
    openai, anthropic = bill.by_day("openai"), bill.by_day("anthropic")
    output.write_texts("openai_costs", "landing/openai", openai_pages.cost_files(scenario, openai))
    output.write_texts("openai_usage", "landing/openai", openai_pages.usage_files(scenario, openai))
    output.write_texts("anthropic_costs", "landing/anthropic", anthropic_pages.cost_files(scenario, anthropic))
    output.write_texts("anthropic_usage", "landing/anthropic", anthropic_pages.usage_files(scenario, anthropic))


def _summary(
    scenario: Scenario,
    organization: Organization,
    output: _Output,
    truth: Truth,
    bill: Bill,
    dirt: Counter[str],
    lines_count: int,
    budgets: list[Budget],
) -> DemoSummary:
    months = sorted({Month.of(day) for day in scenario.days()})
    old_key, new_key = (key for key in organization.keys if key.alias == ROTATED_ALIAS)
    moved_from, moved_to = organization.mover.teams
    return DemoSummary(
        target=output.target,
        first_day=scenario.first_day,
        as_of=scenario.as_of,
        files_count=dict(output.files),
        bytes_count=output.bytes_count,
        log_lines_count=lines_count,
        requests_count=sum(truth.requests.values()),
        requests_by_month=dict(sorted(truth.requests.items())),
        duplicates_count=sum(dirt[kind] for kind in DUPLICATE_KINDS),
        quarantined_count=sum(dirt[kind] for kind in QUARANTINED_KINDS),
        dirt=dict(sorted(dirt.items())),
        kinds=dict(sorted(truth.kinds.items())),
        metered_cost=by_key(truth.provider_pico),
        team_cost=by_key(truth.team_pico),
        billed_cost={(provider, str(month)): bill.total(provider, month) for provider in BILLED_PROVIDERS for month in months},
        credits=_credits(scenario),
        unexplained_cost={("openai", str(month)): bill.total("openai", month, project=SANDBOX) for month in months},
        runaway=_runaway(scenario, organization, truth),
        mover_user_id=organization.mover.user_id,
        mover_teams=(moved_from[0], moved_to[0]),
        rotated_key_ids=(old_key.key_id, new_key.key_id),
        stranger_user_id=organization.stranger_user_id,
        stranger_key_id=organization.stranger_key.key_id,
        budgets=tuple(budgets),
    )


def _credits(scenario: Scenario) -> dict[tuple[str, str], Decimal]:
    dated = (
        ("anthropic", scenario.outage_credit, anthropic_pages.OUTAGE_CREDIT),
        ("openai", scenario.promotional_credit, openai_pages.PROMOTIONAL_CREDIT),
    )
    return {(provider, f"{day:%Y-%m}"): amount for provider, day, amount in dated if scenario.covers(day)}


def _runaway(scenario: Scenario, organization: Organization, truth: Truth) -> Runaway | None:
    if not truth.runaway_requests:
        return None
    key = organization.key(RUNAWAY_ALIAS, scenario.runaway_days[0])
    days = tuple(day for day in scenario.runaway_days if scenario.covers(day))
    return Runaway(days, RUNAWAY_TEAM, key.key_id, truth.runaway_requests, dollars(truth.runaway_pico))
