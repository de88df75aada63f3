"""An installation for tests: settings, source folders, lake and state below one folder, and its code location."""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData

from assets.assembly import build_definitions
from assets.partitions import range_tags
from assets.resources import Workspace, WorkspaceResource, open_workspace
from tests.unit.sources.report_pages import DAY_SECONDS, openai_bucket, openai_cost, openai_page, save
from usage_etl.lake import LandedDelivery

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme, time_zone: America/New_York}
start_date: 2026-10-01
as_of_date: 2026-11-02
sources:
  - {name: gateway, kind: litellm, location: landing/gateway}
  - {name: openai, kind: openai, location: landing/openai}
reports:
  executive_recipients: [cfo@example.com]
  chargeback_recipients: [finance@example.com]
  failure_recipients: [data@example.com, oncall@example.com]
"""
DAYS = tuple(dt.date(2026, 10, 30) + dt.timedelta(days=offset) for offset in range(4))
"""Days of the small installation that have rows: the last two of October and the first two of November."""
REQUESTS_A_DAY = 4
TEAMS = (
    "team_id,team_name,department_id,department_name,cost_center_id,cost_center_name,owner_email,valid_from,valid_to\n"
    "team-1,Team One,dep-1,Department One,cc-1,Cost Center One,one@example.com,2026-01-01,\n"
)
QUOTAS = (
    "scope_kind,scope_id,measure,period_kind,limit_quantity,currency,enforcement,valid_from,valid_to\n"
    "organization,acme,total_tokens,calendar_month,20000,,soft,2026-01-01,\n"
    "team,team-1,effective_cost,billing_month,0.02,USD,hard,2026-01-01,\n"
    "user,user-1,inference_tokens,calendar_month,2000,,hard,2026-01-01,\n"
    "user,user-2,requests_count,day,1,,soft,2026-01-01,2026-11-01\n"
)
PURCHASES = (
    "purchase_id,pool_id,scope_kind,scope_id,token_kind,purchased_tokens,renewal,valid_from,valid_to\n"
    "po-1,main,organization,acme,inference,12000,once,2026-10-31,2027-10-31\n"
)


@dataclass(frozen=True)
class Installation:
    """What lies below ``folder``, whose settings file is ``usage_etl.yaml``."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "usage_etl.yaml"

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.config)

    @property
    def workspace(self) -> Workspace:
        return open_workspace(str(self.config.resolve()))

    @property
    def resources(self) -> dict[str, Any]:
        return {"workspace": WorkspaceResource(config_file=str(self.config.resolve()))}

    def run(
        self, job: str, instance: dg.DagsterInstance, *span: dt.date | str, only: Sequence[str] = ()
    ) -> dg.ExecuteInProcessResult:
        """Runs a job, or ``only`` some of its assets, over the partitions ``span[0]`` to ``span[-1]``."""
        found = self.definitions.resolve_job_def(job)
        subset = found.get_subset(asset_selection={dg.AssetKey(name) for name in only}) if only else found
        return self.execute(subset, instance, range_tags(str(span[0]), str(span[-1])) if span else {})

    def run_month(self, job: str, instance: dg.DagsterInstance, key: str) -> dg.ExecuteInProcessResult:
        """Runs a job for one named partition, as schedules do."""
        return self.execute(self.definitions.resolve_job_def(job), instance, {"dagster/partition": key})

    def execute(self, job: dg.JobDefinition, instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(run_config=QUIET, instance=instance, tags=tags, raise_on_error=False)

    def copied_to(self, folder: Path) -> "Installation":
        """The same files elsewhere; modification times stay, so that the copy knows its objects."""
        self.workspace.engine.dispose()
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Installation(folder)

    def deliver(self, name: str, lines: Iterable[str]) -> Path:
        """Puts a log file into the gateway's folder, in place of one of the same name."""
        path = self.folder / "landing" / "gateway" / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def delivery(self, origin_key: str) -> LandedDelivery:
        """The newest delivery of an origin."""
        return next(item for item in reversed(self.workspace.index.deliveries()) if item.origin_key == origin_key)

    def fingerprints(self, *tops: str) -> dict[str, str]:
        """Relative path to sha256 of every file below ``tops``."""
        files = (path for top in tops for path in sorted((self.folder / top).rglob("*")) if path.is_file())
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_small(folder: Path) -> Installation:
    """Six days of requests and of an OpenAI bill, not landed yet."""
    for name in ("landing/gateway", "landing/openai", "directory"):
        (folder / name).mkdir(parents=True)
    (folder / "usage_etl.yaml").write_text(SETTINGS, encoding="utf-8")
    for name, text in {"teams": TEAMS, "quotas": QUOTAS, "entitlements": PURCHASES}.items():
        (folder / "directory" / f"{name}.csv").write_text(text, encoding="utf-8")
    installation = Installation(folder)
    for day in DAYS:
        installation.deliver(f"{day}.jsonl", (request(day, number) for number in range(REQUESTS_A_DAY)))
    save(folder / "landing" / "openai", costs(dict.fromkeys(DAYS, ("0.004", "0.002"))), name="costs.json")
    return installation


def request(day: dt.date, number: int, *, model: str = "gpt-5.2", prompt_tokens: int = 1000) -> str:
    """A line of a spend log: a request at ``number`` o'clock of ``day``."""
    started = f"{day} {number:02d}:00"
    return json.dumps(
        {
            "request_id": f"req-{day}-{number}",
            "call_type": "acompletion",
            "api_key": "a" * 64,
            "spend": 0.001,
            "total_tokens": prompt_tokens + 200,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": 200,
            "startTime": f"{started}:00.000000",
            "endTime": f"{started}:02.000000",
            "model": model,
            "custom_llm_provider": "openai",
            "user": f"user-{number}",
            "metadata": {},
            "request_tags": [],
            "team_id": "team-1" if number % 2 else "",
            "status": "success",
        }
    )


def costs(amounts: dict[dt.date, Sequence[str]]) -> dict[str, Any]:
    """A page of OpenAI costs: by day, amounts of input and output; a day without amounts is an emptied bucket."""
    items = ("gpt-5.2, input", "gpt-5.2, output")
    buckets = []
    for day, values in amounts.items():
        start = int(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC).timestamp())
        results = [openai_cost(value, item) for value, item in zip(values, items, strict=False)]
        buckets.append(openai_bucket(*results, start=start, end=start + DAY_SECONDS))
    return openai_page(*buckets)


def failures(result: dg.ExecuteInProcessResult) -> dict[str, StepFailureData]:
    """Failure of each step that failed."""
    return {str(event.step_key): event.step_failure_data for event in result.all_events if event.is_step_failure}


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Plain metadata of the last materialization of ``asset`` in a run."""
    events = [event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey(asset.split("/"))]
    return {name: entry.value for name, entry in events[-1].materialization.metadata.items()}


def recorded(instance: dg.DagsterInstance, run_id: str, asset: str) -> list[str]:
    """Partitions of ``asset`` in the order in which a run recorded them."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return [str(e.dagster_event.partition) for e in events if e.dagster_event and e.dagster_event.asset_key == dg.AssetKey(asset)]
