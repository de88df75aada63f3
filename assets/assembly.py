"""Puts assets, checks, jobs, schedules and sensors together for one settings file."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets.alert_sensors import alert_sensors
from assets.alerts import alert_jobs
from assets.allocation import allocation_assets, allocation_checks
from assets.anomalies import anomaly_assets
from assets.checks import conservation_checks, contract_check, delivery_check
from assets.closing import close_job, close_schedule, closing_assets
from assets.closing_checks import closing_checks
from assets.dimensions import dimension_assets
from assets.facts import fact_assets
from assets.jobs import pipeline_jobs
from assets.landing import landing_assets, staging_assets
from assets.limits import limit_assets, limit_job, limit_schedule, limit_sensor
from assets.marts import mart_assets
from assets.people import people_assets
from assets.people_checks import people_checks
from assets.projections import projection_assets
from assets.quotas import quota_assets
from assets.recommendations import recommendation_assets
from assets.reports import MAIL_EXECUTIVE, report_assets
from assets.resources import WorkspaceResource
from assets.restatements import restatements_check
from assets.schedules import pipeline_schedules
from assets.sensors import pipeline_sensors
from assets.tie_out import tie_out_assets, tie_out_checks
from usage_etl.allocation import failed_gates
from usage_etl.config import Settings, load_settings
from usage_etl.schemas import MART_CHARGEBACK_CLOSED, TABLES
from usage_etl.sources.registry import SOURCE_KINDS

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

CLOSED_KEY = dg.AssetKey(MART_CHARGEBACK_CLOSED.name)
"""Closing is asked for by name or by its schedule; no other run closes anything."""
_CHECKED_GROUPS = ("2_facts", "3_allocate", "4_insights")


def build_definitions(config_file: Path) -> dg.Definitions:
    """Definitions of one installation. Raises ConfigError when its settings cannot be used."""
    settings = load_settings(config_file, kinds=SOURCE_KINDS)
    dimensions, facts, reports = dimension_assets(), fact_assets(settings), report_assets(settings)
    landing = [*landing_assets(settings), *staging_assets(settings), *dimensions]
    finance = [*tie_out_assets(settings), *allocation_assets(settings), *closing_assets(settings, failed_gates=failed_gates)]
    marts = [*finance, *_insights(settings)]
    daily = [key for key in _keys(facts) if key not in _monthly_keys(facts)]
    finance_keys = [key for key in _keys(finance) if key != CLOSED_KEY]
    closed_reports = [key for key in _keys(reports) if key.to_user_string() != MAIL_EXECUTIVE]
    jobs = pipeline_jobs(
        daily_keys=daily,
        monthly_keys=[*_monthly_keys(facts), *(key for key in _keys(marts) if key != CLOSED_KEY)],
        report_keys=_keys(reports),
        close=close_job(first_keys=[*_keys(dimensions), *finance_keys], then_keys=closed_reports),
        alerts=alert_jobs(),
    )
    stored = {key.to_user_string() for key in _keys([*facts, *marts])}
    contracts = [contract_check(table) for table in TABLES if table.name in stored and table.group in _CHECKED_GROUPS]
    checks = [
        *contracts,
        *conservation_checks(has_events=settings.keep_usage_events),
        *tie_out_checks(),
        *allocation_checks(),
        *closing_checks(),
        *people_checks(),
        delivery_check(),
        restatements_check(),
    ]
    limits = limit_job()
    return dg.Definitions(
        assets=[*landing, *facts, *marts, *reports, *limit_assets()],
        asset_checks=checks,
        jobs=[*jobs.all(), limits],
        schedules=[*pipeline_schedules(settings, jobs), close_schedule(settings, jobs.close), limit_schedule(settings, limits)],
        sensors=[
            *pipeline_sensors(jobs, config_file),
            limit_sensor(jobs, limits),
            *alert_sensors(jobs.alerts, jobs.alerts_delivery),
        ],
        resources={"workspace": WorkspaceResource(config_file=str(config_file.resolve()))},
        executor=dg.in_process_executor,
    )


def _insights(settings: Settings) -> list[dg.AssetsDefinition]:
    """Marts of usage, people, projections, quotas and recommendations, in the order of the data's way."""
    return [
        *mart_assets(settings),
        *anomaly_assets(settings),
        *people_assets(settings),
        *projection_assets(settings),
        *quota_assets(settings),
        *recommendation_assets(settings),
    ]


def _keys(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    return [key for asset in assets for key in asset.keys]


def _monthly_keys(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetKey]:
    return _keys([asset for asset in assets if isinstance(asset.partitions_def, dg.MonthlyPartitionsDefinition)])
