"""Landing and staging: bytes as received, then typed rows. One landing asset per configured source."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl

from assets.describe import table_spec
from assets.resources import Workspace, WorkspaceResource, now
from assets.retries import retried_if_it_helps, retry_or
from assets.staged import staged_key
from usage_etl.config import Settings, SourceSettings, read_secret
from usage_etl.errors import SourceError, UnreadableDeliveryError
from usage_etl.lake import LandedDelivery, StagedBucket, StagedDay, shrunk_bucket
from usage_etl.schemas import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.parsed import ParseContext, quarantine_rows
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.sandbox.child import parse_child
from usage_etl.sources.source import FetchContext, Source
from usage_etl.sources.staging import BucketRows, StagedDelivery, StagedFile, quarantine_of

_QUARANTINES = {table.name: table for table in (USAGE_EVENTS_QUARANTINE, BILLING_CHARGES_QUARANTINE)}
STAGED_TABLES = (STAGED_USAGE, STAGED_CHARGES, *_QUARANTINES.values())


def landed_key(source_name: str) -> dg.AssetKey:
    """Asset key of a source's landed objects."""
    return dg.AssetKey(["landed", source_name])


def landing_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One asset per source; each may fail and be tried again without the others."""
    return [_landing_asset(source) for source in settings.sources]


def _landing_asset(source: SourceSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=landed_key(source.name),
        group_name="1_land",
        owners=["team:data"],
        kinds={source.kind, "s3" if (source.location or "").startswith("s3://") else "file"},
        description=f"Objects of the {source.kind} source {source.name!r}, byte for byte as received, each with its sha256.",
        pool=f"source_{source.kind}",
    )
    def landed(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        opened = workspace.open()
        with retried_if_it_helps(context):
            deliveries = [delivery for item in fetched_objects(opened, source) if (delivery := _land(opened, source, item))]
        return dg.MaterializeResult(
            metadata={"new_objects": len(deliveries), "bytes": sum(delivery.bytes_count for delivery in deliveries)}
        )

    return landed


def fetched_objects(workspace: Workspace, source: SourceSettings) -> Iterator[FetchedObject]:
    """What the source has that is not landed yet. Raises SourceError."""
    context = FetchContext(
        start_date=workspace.settings.start_date,
        known=workspace.index.seen(source.name),
        pulled_at=now(),
        read_secret=read_secret,
        open_store=workspace.open_location,
        known_members=partial(workspace.index.members, source.name),
    )
    return SOURCES[source.kind].fetch(source, context)


def new_objects(workspace: Workspace, source: SourceSettings) -> list[str]:
    """Names and versions of objects in a folder or bucket that are not landed yet; APIs are asked by schedule only."""
    if source.location is None:
        return []
    return [f"{source.name}:{item.origin_key}:{item.origin_version}" for item in fetched_objects(workspace, source)]


def _land(workspace: Workspace, source: SourceSettings, item: FetchedObject) -> LandedDelivery | None:
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "object"
        item.save(local)
        return workspace.landing.land(
            source=source.name,
            kind=source.kind,
            dataset=item.dataset,
            origin_key=item.origin_key,
            origin_version=item.origin_version,
            content=local,
            replaces_earlier=SOURCES[source.kind].replaces_earlier,
            members=(item.members.folder, item.members.marks) if item.members else None,
        )


@dataclass
class _Tally:
    """What became of the deliveries of one staging run."""

    staged: int = 0
    repeated: list[str] = field(default_factory=list)
    """Deliveries of which no row counts, and why: duplicates, and versions older than those that count."""
    held: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    """Error by delivery and origin key; the delivery waits and is staged by a later run."""
    rows: Counter[str] = field(default_factory=Counter)
    """Staged rows by table, and records refused (``quarantined``) or not read because out of scope (``out_of_scope``)."""

    def count(self, delivery: LandedDelivery, result: StagedDelivery) -> None:
        """Adds a staged delivery's rows by table; refused ones are only counted as a whole."""
        if delivery.status != "staged":
            self.repeated.append(f"{delivery.origin_key}: {delivery.status}: {delivery.status_reason}")
            return
        self.staged += 1
        for part in result.files:
            self.rows[part.table_name] += part.rows_count
        self.rows["quarantined"] += result.rows_quarantined
        self.rows["out_of_scope"] += result.rows_out_of_scope


def staging_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Staged rows and their quarantine, from every landed object that waits."""

    @dg.multi_asset(
        name="staged",
        specs=[table_spec(table, deps=[landed_key(source.name) for source in settings.sources]) for table in STAGED_TABLES],
    )
    def staged(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened, tally = workspace.open(), _Tally()
        for delivery in opened.index.pending():
            try:
                stage_delivery(opened, delivery, tally)
            except Exception as error:  # noqa: BLE001 - one bad object must not hold up the others
                tally.failures[f"{delivery.source} {delivery.origin_key}"] = error
        for line in tally.repeated:
            context.log.info(line)
        for line in [*tally.held, *tally.refused]:
            context.log.warning(line)
        if tally.failures:
            raise _failure(tally.failures, context)
        for table in STAGED_TABLES:
            yield dg.MaterializeResult(
                asset_key=table.name,
                metadata={
                    "rows": tally.rows[table.name],
                    "quarantined": tally.rows["quarantined"],
                    "out_of_scope": tally.rows["out_of_scope"],
                    "deliveries_staged": tally.staged,
                    "repeated": dg.MetadataValue.json(tally.repeated),
                    "held": dg.MetadataValue.json(tally.held),
                    "refused": dg.MetadataValue.json(tally.refused),
                },
            )

    return [staged]


def stage_delivery(workspace: Workspace, delivery: LandedDelivery, tally: _Tally) -> None:
    """Parses one landed object and records what became of it: staged, held back, or refused whole."""
    source = next((source for source in workspace.settings.sources if source.name == delivery.source), None)
    if source is None:
        raise SourceError(delivery.source, "is not in the settings any more, and an object of it waits to be staged")
    with tempfile.TemporaryDirectory() as folder, workspace.landing.open(delivery) as path:
        context, child = parse_context(source, delivery), parse_child(workspace.settings.parsing)
        try:
            result = child.stage(path, kind=source.kind, context=context, work_folder=Path(folder))
        except UnreadableDeliveryError as error:
            _refuse(workspace, context, SOURCES[source.kind], str(error))
            tally.refused.append(f"{delivery.origin_key}: {error}")
            return
        days = [_upload(workspace, delivery, part) for part in result.files]
        _quarantine(workspace, delivery, result.quarantine)
        buckets = [_bucket(found) for found in result.buckets]
        version, refused_count = SOURCES[source.kind].parser_version, result.rows_quarantined
        reason = None if delivery.is_released else _reason_to_hold(workspace, source, delivery, result, buckets)
        if reason:
            workspace.index.record_held(
                delivery.delivery_id,
                reason,
                result.rows_in_scope,
                days,
                staged_buckets=buckets,
                rows_quarantined=refused_count,
                records_staged=result.records_staged,
                rows_out_of_scope=result.rows_out_of_scope,
                parser_version=version,
            )
            tally.held.append(f"{delivery.origin_key}: {reason}")
        else:
            recorded = workspace.index.record_staged(
                delivery.delivery_id,
                days,
                staged_buckets=buckets,
                rows_read=result.rows_in_scope,
                rows_quarantined=refused_count,
                records_staged=result.records_staged,
                rows_out_of_scope=result.rows_out_of_scope,
                parser_version=version,
            )
            tally.count(recorded, result)


def _quarantine(workspace: Workspace, delivery: LandedDelivery, quarantine: Mapping[str, Sequence[Path]]) -> None:
    """Makes the refused records those of this reading. What an earlier reading of a released delivery refused is gone."""
    for name, table in _QUARANTINES.items():
        if parts := quarantine.get(name):
            workspace.lake.commit(table, delivery.delivery_id, pl.scan_parquet(list(parts), glob=False))
        elif delivery.is_released and workspace.lake.head(table, delivery.delivery_id):
            workspace.lake.commit(table, delivery.delivery_id, table.empty())


def _refuse(workspace: Workspace, context: ParseContext, source: Source, reason: str) -> None:
    """Quarantines a file as a whole: one row with ordinal 0 that says why."""
    row = quarantine_rows([(0, "", f"file__refused: {reason.replace(',', ';')}")], context)
    workspace.lake.commit(quarantine_of(source.fills[0]), context.delivery_id, row.lazy())
    workspace.index.record_refused(context.delivery_id, reason, 0)


def _failure(failures: Mapping[str, Exception], context: dg.AssetExecutionContext) -> Exception:
    shown = "\n".join(f"- {origin}: {error}" for origin, error in list(failures.items())[:20])
    failure = dg.Failure(
        description=f"{len(failures)} object(s) could not be staged and wait; the others are staged.\n{shown}",
        allow_retries=False,
    )
    failure.__cause__ = next(iter(failures.values()))
    return retry_or(failure, list(failures.values()), context)


def parse_context(source: SourceSettings, delivery: LandedDelivery) -> ParseContext:
    """What the parser of a source is told of a delivery."""
    return ParseContext(
        source=source.name,
        source_account=source.account,
        role=source.role,
        delivery_id=delivery.delivery_id,
        delivery_sequence=delivery.sequence,
        object_key=delivery.landed_key,
        received_at=delivery.received_at,
        settings=source,
        origin_key=delivery.origin_key,
    )


def _upload(workspace: Workspace, delivery: LandedDelivery, part: StagedFile) -> StagedDay:
    key = staged_key(part.table_name, delivery, part.day)
    workspace.store.upload(key, part.path)
    return StagedDay(part.table_name, part.day, key, part.sha256, part.rows_count)


def _bucket(found: BucketRows) -> StagedBucket:
    covered = found.bucket
    return StagedBucket(
        covered.table_name, covered.bucket_key, found.rows_by_day, covered.version_at, is_within_day=covered.day is not None
    )


def _reason_to_hold(
    workspace: Workspace,
    source: SourceSettings,
    delivery: LandedDelivery,
    result: StagedDelivery,
    buckets: Sequence[StagedBucket],
) -> str | None:
    """Why a re-delivery is not loaded: it, or one of its buckets, is much smaller than the last good version."""
    if buckets:
        standing = workspace.index.bucket_versions(source.name, [(found.table_name, found.bucket_key) for found in buckets])
        fault = shrunk_bucket(delivery, buckets, standing, source.minimum_share_pct)
    else:
        fault = _shrunk_origin(workspace, source, delivery, result)
    if fault is None:
        return None
    return f"{fault}; fewer than {source.minimum_share_pct} % are held: usage-etl release {delivery.delivery_id}"


def _shrunk_origin(workspace: Workspace, source: SourceSettings, delivery: LandedDelivery, result: StagedDelivery) -> str | None:
    last_good = workspace.index.last_good_rows(delivery.source, delivery.dataset, delivery.origin_key)
    if not last_good or result.rows_in_scope >= last_good * source.minimum_share_pct / 100:
        return None
    return f"{result.rows_in_scope} record(s), the last good delivery had {last_good}"
