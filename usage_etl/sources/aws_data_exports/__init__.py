"""AWS Data Exports: CUR 2.0 and FOCUS, run by run, for Bedrock and the models that Marketplace bills."""

from __future__ import annotations

from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.aws_data_exports.fetch import fetch
from usage_etl.sources.aws_data_exports.manifest import DATA_EXPORT
from usage_etl.sources.aws_data_exports.parse import PARSER_VERSION, parse
from usage_etl.sources.aws_data_exports.settings import AwsDataExportsSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="aws_data_exports",
    settings=AwsDataExportsSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(DATA_EXPORT,),
    facts=Facts(
        title="AWS Data Exports",
        formats="CUR 2.0 and FOCUS 1.0 and 1.2, Parquet or CSV (gzip, zip), with their manifests",
        covers="the bill by hour, account, usage type and tag, Marketplace models included; no request ids",
        identity="a billing period of an export is replaced whole by its newest complete run",
        lateness="refreshed at least daily, and up to two weeks after the month's end",
        tested_on="rows rebuilt from the documented columns and usage types",
    ),
    fetch=fetch,
    fills=(STAGED_CHARGES,),
    replaces_earlier=True,
)
