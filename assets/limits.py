"""Hard limits: the signed limit-state file, and the plan and its application at a gateway. Composition only."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from assets.jobs import MAX_RUNTIME, Jobs
from assets.monthly import through_date
from assets.resources import Workspace, WorkspaceResource, now
from assets.retries import retried_if_it_helps
from usage_etl.config import Settings, read_secret
from usage_etl.delivery.enforce import Applied, apply_limits
from usage_etl.delivery.limit_book import LimitBook, next_sequence
from usage_etl.delivery.limit_state import LIMIT_STATE_KEY, limit_state_document, signed, write_limit_state
from usage_etl.delivery.litellm_admin import LiteLLMAdmin
from usage_etl.errors import ConfigError, TooManyBlocksError
from usage_etl.keys import sha256_hex
from usage_etl.periods import Month
from usage_etl.quotas.enforcement import HardQuotas, plan_limits, refusals
from usage_etl.schemas import MART_QUOTA_STATUS
from usage_etl.schemas.limits import LimitPlan, Refusal

NO_GATEWAY = "none"
"""Name of the gateway in plans of an installation that has none."""
LIMIT_STATE = "limit_state"
GATEWAY_LIMITS = "gateway_limits"
GROUP = "6_limits"
OWNER = "team:finops"


@dataclass(frozen=True)
class Published:
    """What publishing the limit-state file came to; ``is_written`` is False where a later file stands already."""

    sequence: int
    refused: tuple[Refusal, ...]
    data_through: dt.date | None
    valid_until: dt.datetime
    is_written: bool


def today_of(workspace: Workspace) -> dt.date:
    """The day that limits are judged on: the clock's, or the one after a pretended as-of day."""
    as_of = workspace.settings.as_of_date
    return as_of + dt.timedelta(days=1) if as_of else now().date()


def newest_hard_quotas(workspace: Workspace) -> HardQuotas:
    """The hard quotas of the newest day that mart_quota_status holds."""
    months = workspace.lake.partitions(MART_QUOTA_STATUS)
    if not months:
        return HardQuotas((), None)
    status = workspace.lake.scan(MART_QUOTA_STATUS, months[-1:]).with_columns(pl.col(pl.Categorical).cast(pl.String))
    return HardQuotas.on(status.collect(), through_date(workspace, Month.parse(months[-1])))


def limit_plan(workspace: Workspace) -> LimitPlan:
    """What a run would change at the gateway now."""
    quotas = workspace.settings.quotas
    return plan_limits(
        newest_hard_quotas(workspace),
        limit_book(workspace).holds(),
        today=today_of(workspace),
        mode=quotas.gateway_mode,
        never_block=quotas.never_block,
        max_blocks=quotas.max_blocks,
        billing_day=quotas.billing_day,
    )


def limit_book(workspace: Workspace) -> LimitBook:
    """What the configured gateway was told."""
    return LimitBook(workspace.engine, workspace.settings.quotas.gateway_url or NO_GATEWAY, clock=now)


def apply_plan(workspace: Workspace) -> Applied | None:
    """Makes the planned changes; null in a dry run. Raises ConfigError without a gateway, and TooManyBlocksError at the end."""
    quotas = workspace.settings.quotas
    if quotas.gateway_url is None or quotas.gateway_admin_key is None:
        raise ConfigError("quotas", ["gateway_url: names no gateway, so there is nothing to tell limits to"])
    if quotas.gateway_mode == "dry_run":
        return None
    plan = limit_plan(workspace)
    admin_key = read_secret(quotas.gateway_admin_key)
    with LiteLLMAdmin(quotas.gateway_url, admin_key, timeout_s=quotas.gateway_timeout_s) as gateway:
        applied = apply_limits(plan, gateway, limit_book(workspace))
    if plan.too_many:
        raise TooManyBlocksError([f"{one.scope_kind} {one.scope_id}: {one.reason}" for one in plan.too_many], quotas.max_blocks)
    return applied


def publish_limit_state(workspace: Workspace) -> Published | None:
    """Publishes a limit-state file with a new number; null without a signing key. Raises MissingCredentialsError."""
    quotas = workspace.settings.quotas
    if quotas.signing_key is None:
        return None
    key, issued_at, hard = read_secret(quotas.signing_key), now(), newest_hard_quotas(workspace)
    refused = refusals(hard, today=today_of(workspace), never_block=quotas.never_block)
    valid_until = issued_at + dt.timedelta(hours=quotas.valid_hours)

    def content(sequence: int) -> bytes:
        document = limit_state_document(
            refused,
            sequence=sequence,
            organization_id=workspace.settings.organization.id,
            issued_at=issued_at,
            valid_until=valid_until,
            data_through=hard.status_date,
            key_id=quotas.signing_key_id,
        )
        return signed(document, key)

    sequence = next_sequence(
        workspace.engine, issued_at=issued_at, content=lambda number: (sha256_hex(content(number)), len(refused))
    )
    lock = workspace.ledger.exclusive(LIMIT_STATE_KEY)
    is_written = write_limit_state(workspace.out, content(sequence), sequence=sequence, lock=lock)
    return Published(sequence, tuple(refused), hard.status_date, valid_until, is_written)


def limit_assets() -> list[dg.AssetsDefinition]:
    """The limit-state file and the limits at the gateway, each made from the newest status of quotas."""

    @dg.asset(
        name=LIMIT_STATE, deps=[MART_QUOTA_STATUS.name], group_name=GROUP, owners=[OWNER], kinds={"json"}, description=_STATE_TEXT
    )
    def limit_state(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        with retried_if_it_helps(context):
            published = publish_limit_state(workspace.open())
        if published is None:
            return dg.MaterializeResult(metadata={"published": False, "why": "quotas.signing_key is not set"})
        return dg.MaterializeResult(
            metadata={
                "published": published.is_written,
                "sequence": published.sequence,
                "refused": len(published.refused),
                "data_through": str(published.data_through),
                "valid_until": published.valid_until.isoformat(),
            }
        )

    @dg.asset(
        name=GATEWAY_LIMITS,
        deps=[MART_QUOTA_STATUS.name],
        group_name=GROUP,
        owners=[OWNER],
        kinds={"litellm"},
        description=_GATEWAY_TEXT,
    )
    def gateway_limits(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        opened = workspace.open()
        if opened.settings.quotas.gateway_url is None:
            return dg.MaterializeResult(metadata={"mode": "off", "why": "quotas.gateway_url is not set"})
        plan = limit_plan(opened)
        with retried_if_it_helps(context):
            applied = apply_plan(opened)
        made = len(applied.done) if applied else 0
        told = [f"{one.action} {one.scope_kind} {one.scope_id}: {one.reason}" for one in plan.actions]
        return dg.MaterializeResult(
            metadata={
                "mode": opened.settings.quotas.gateway_mode,
                "planned": dg.MetadataValue.json(told),
                "made": made,
                "left_alone": dg.MetadataValue.json(list(plan.left_alone)),
            }
        )

    return [limit_state, gateway_limits]


def limit_job() -> Any:
    """The job that publishes the limit-state file and tells the gateway."""
    return dg.define_asset_job(
        "limits",
        selection=dg.AssetSelection.assets(LIMIT_STATE, GATEWAY_LIMITS),
        tags=MAX_RUNTIME,
        description="Publish which scopes are over a hard quota, and tell the gateway.",
    )


def limit_schedule(settings: Settings, job: Any) -> dg.ScheduleDefinition:
    """Every hour, unless set otherwise: a block ends soon after its period, and the file never grows too old."""

    @dg.schedule(
        job=job,
        cron_schedule=settings.schedules.limits,
        name="limits_hourly",
        execution_timezone=settings.organization.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def limits_hourly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Publish the limit-state file anew, and make and take back what is due at the gateway."""
        return dg.RunRequest(run_key=f"limits:{context.scheduled_execution_time:%Y-%m-%dT%H:%M}")

    return limits_hourly


def limit_sensor(jobs: Jobs, job: Any) -> dg.SensorDefinition:
    """After every monthly run: new usage is judged at once, not at the next hour."""

    @dg.run_status_sensor(
        name="judged_limits",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs.monthly],
        request_job=job,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def judged_limits(context: dg.RunStatusSensorContext) -> dg.RunRequest:
        """Requests the job ``limits`` once for a monthly run that succeeded."""
        return dg.RunRequest(run_key=f"limits:{context.dagster_run.run_id}")

    return judged_limits


_STATE_TEXT = """\
The signed limit-state file for gateways: which scopes have used up a hard quota. It is as late as the data, and says up to
which day that reaches."""
_GATEWAY_TEXT = """\
Budgets and blocks at the configured LiteLLM proxy, as the hard quotas ask. A dry run unless quotas.gateway_mode says
otherwise."""
