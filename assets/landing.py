"""Landing and staging: bytes as received, then typed rows. One landing asset per configured source."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from assets.describe import table_spec
from assets.resources import Workspace, WorkspaceResource, now
from usage_etl.config import Settings, SourceSettings, read_secret
from usage_etl.errors import UnreadableDeliveryError, UsageEtlError
from usage_etl.lake import LandedDelivery
from usage_etl.schemas import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.parsed import ParseContext, TagRules
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.staging import StagedDelivery, stage

RETRY = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For provider calls. Permanent errors say so through dagster.Failure and are never tried again."""


def landed_key(source_name: str) -> dg.AssetKey:
    """Asset key of a source's landed objects."""
    return dg.AssetKey(["landed", source_name])
