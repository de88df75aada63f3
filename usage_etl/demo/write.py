"""Writes the demo organisation as files: logs, bills, directories, prices, invoices and a settings file that reads them."""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from usage_etl.demo import anthropic_pages, openai_pages
from usage_etl.demo.bill import Bill, add_bypass
from usage_etl.demo.directory_files import contract_file, directory_files, outcomes_file, planned_budgets
from usage_etl.demo.finance_files import finance_files, planned_invoices
from usage_etl.demo.litellm_files import LogFiles
from usage_etl.demo.litellm_rows import RowWriter
from usage_etl.demo.organization import build_organization
from usage_etl.demo.owner_files import owner_files
from usage_etl.demo.quota_files import quota_files
from usage_etl.demo.rates import RateCard
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.settings_file import FIRST_LINE, settings_text
from usage_etl.demo.summary import SETTINGS_NAME, DemoSummary, WrittenFiles, billing_of, summarize
from usage_etl.demo.traffic import all_requests
from usage_etl.demo.truth import Truth
from usage_etl.errors import ConfigError

DEFAULT_SEED = 2026
DEFAULT_DAYS = 95
DEFAULT_AS_OF = dt.date(2026, 11, 19)


def write_demo(
    target: Path,
    *,
    seed: int = DEFAULT_SEED,
    days: int = DEFAULT_DAYS,
    as_of: dt.date = DEFAULT_AS_OF,
    volume: float = 1.0,
) -> DemoSummary:
    """Write the demo below ``target`` and say what is true of it; the same arguments give the same bytes.

    ``volume`` is the share of the usual traffic, above 0 and at most 1. An earlier demo in the folder is replaced; its
    lake and reports are left alone. Raises ConfigError when the folder holds something else, and ValueError for fewer
    than one day or no volume.
    """
    scenario = Scenario.of(seed=seed, days=days, as_of=as_of, volume=volume)
    _clear(target)
    organization = build_organization(scenario)
    card, by_day = RateCard(scenario), all_requests(scenario, organization)
    truth, bill, output = Truth(), Bill(card), _Output(target)
    for day, requests in by_day.items():
        truth.add(requests, card=card, day=day)
        bill.add_all(requests)
    add_bypass(bill, scenario)
    budgets = tuple(planned_budgets(scenario, truth))
    billing = billing_of(scenario, bill)
    invoices = planned_invoices(scenario, usage=billing.usage, granted=billing.credits)
    dirt, lines_count = Counter[str](), 0
    for file in LogFiles(scenario, RowWriter(scenario, organization), dirt).files(by_day):
        output.write("litellm", f"landing/litellm/{file.name}", file.content)
        lines_count += file.lines_count
    _write_bills(output, scenario, bill)
    limits, quotas = quota_files(scenario, organization, by_day)
    limits["outcomes.csv"] = outcomes_file(scenario)
    directories = [*directory_files(organization, budgets).items(), *owner_files(by_day).items(), *limits.items()]
    output.write_texts("directory", "directory", directories)
    output.write_texts("finance", "finance", finance_files(scenario, invoices).items())
    output.write_texts("prices", "prices", [("contract.csv", contract_file(scenario))])
    output.write_texts("settings", ".", [(SETTINGS_NAME, settings_text(scenario))])
    return summarize(
        target,
        scenario,
        organization,
        written=WrittenFiles(dict(output.files), output.bytes_count, lines_count),
        truth=truth,
        billing=billing,
        invoices=invoices,
        dirt=dirt,
        budgets=budgets,
        quotas=quotas,
    )


class _Output:
    """Writes files below one folder and counts them."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.files: Counter[str] = Counter()
        self.bytes_count = 0

    def write(self, kind: str, name: str, content: bytes) -> None:
        path = self._target / name
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
    for name in ("landing", "directory", "prices", "finance"):
        shutil.rmtree(target / name, ignore_errors=True)


def _write_bills(output: _Output, scenario: Scenario, bill: Bill) -> None:
    openai, anthropic = bill.by_day("openai"), bill.by_day("anthropic")
    output.write_texts("openai_costs", "landing/openai", openai_pages.cost_files(scenario, openai))
    output.write_texts("openai_usage", "landing/openai", openai_pages.usage_files(scenario, openai))
    output.write_texts("anthropic_costs", "landing/anthropic", anthropic_pages.cost_files(scenario, anthropic))
    output.write_texts("anthropic_usage", "landing/anthropic", anthropic_pages.usage_files(scenario, anthropic))
