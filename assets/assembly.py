"""Puts assets, checks, jobs, schedules and sensors together for one settings file."""

import warnings
from pathlib import Path

import dagster as dg

from assets.checks import conservation_checks, contract_check, delivery_check
from assets.dimensions import dimension_assets
from assets.facts import fact_assets
from assets.jobs import pipeline_jobs
from assets.landing import landing_assets, staging_assets
from assets.marts import mart_assets
from assets.reports import report_assets
from assets.resources import WorkspaceResource
from assets.restatements import restatements_check
from assets.schedules import pipeline_schedules
from assets.sensors import pipeline_sensors
from usage_etl.config import load_settings
from usage_etl.schemas import TABLES
from usage_etl.sources.registry import SOURCE_KINDS

warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

_CHECKED_GROUPS = ("2_facts", "3_allocate", "4_insights")


def build_definitions(config_file: Path) -> dg.Definitions:
    """Definitions of one installation. Raises ConfigError when its settings cannot be used."""
    settings = load_settings(config_file, kinds=SOURCE_KINDS)
    landing = [*landing_assets(settings), *staging_assets(settings), *dimension_assets()]
    facts, marts, reports = fact_assets(settings), mart_assets(settings), report_assets(settings)
    daily = [key for asset in facts for key in asset.keys if isinstance(asset.partitions_def, dg.DailyPartitionsDefinition)]
    monthly = [key for asset in [*facts, *marts] for key in asset.keys if key not in daily]
    jobs = pipeline_jobs(daily_keys=daily, monthly_keys=monthly, report_keys=[key for asset in reports for key in asset.keys])
    stored = {key.to_user_string() for asset in [*facts, *marts] for key in asset.keys}
    contracts = [contract_check(table) for table in TABLES if table.name in stored and table.group in _CHECKED_GROUPS]
    checks = [*contracts, *conservation_checks(has_events=settings.keep_usage_events), delivery_check(), restatements_check()]
    return dg.Definitions(
        assets=[*landing, *facts, *marts, *reports],
        asset_checks=checks,
        jobs=jobs.all(),
        schedules=pipeline_schedules(settings, jobs),
        sensors=pipeline_sensors(jobs, config_file),
        resources={"workspace": WorkspaceResource(config_file=str(config_file.resolve()))},
        executor=dg.in_process_executor,
    )
