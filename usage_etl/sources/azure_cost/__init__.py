"""Azure Cost Management exports: FOCUS, actual and amortized cost, run by run."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.azure_cost.fetch import fetch
from usage_etl.sources.azure_cost.manifest import ACTUAL_COST, AMORTIZED_COST, FOCUS_COST
from usage_etl.sources.azure_cost.parse import PARSER_VERSION, parse
from usage_etl.sources.azure_cost.settings import AzureCostSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="azure_cost",
    settings=AzureCostSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(FOCUS_COST, ACTUAL_COST, AMORTIZED_COST),
    facts=Facts(
        title="Azure Cost Management",
        formats="exports with a manifest: FOCUS 1.0-preview to 1.2-preview, ActualCost, AmortizedCost; CSV, gzip, Parquet",
        covers="the bill by day, resource and meter; no users, no requests; rows of other services are counted, not staged",
        identity="a billing period of an export is replaced whole by its newest complete run",
        lateness="ready about four hours after a run; estimates until the invoice, restated on every run of the month",
        tested_on="rows rebuilt from the documented columns, in the spellings of a public sample and price catalogues",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES,),
    replaces_earlier=True,
)
