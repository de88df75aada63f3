"""Google Cloud's detailed billing export, as Parquet or JSON lines: costs and credits by SKU, project and hour."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.fetching.object_sets import fetch_sets
from usage_etl.sources.gcp_billing.parse import DETAILED_EXPORT, PARSER_VERSION, parse
from usage_etl.sources.gcp_billing.settings import GcpBillingSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="gcp_billing",
    settings=GcpBillingSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(DETAILED_EXPORT,),
    facts=Facts(
        title="Google Cloud billing",
        formats="the detailed export gcp_billing_export_resource_v1 as Parquet or JSON lines, whole or in numbered parts",
        covers="costs and credits of the AI services by SKU, project and hour; models of Vertex AI and the Gemini API by name",
        identity="a day of export_time is replaced whole by a later delivery; Google corrects by later rows",
        lateness="usually within a day, without a promise; corrections of closed months for months after",
        tested_on="rows rebuilt from Google's documented schema, with SKU descriptions from its public price list",
    ),
    fetch=fetch_sets,
    fills=(STAGED_CHARGES,),
    replaces_earlier=True,
)
