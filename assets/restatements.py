"""Which days were restated: each build of a day is noted, and what differs from the build before it becomes a fact."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.derive import commit_derived
from assets.describe import table_spec
from assets.ranges import build_partitions, checked_partitions
from assets.resources import Workspace, WorkspaceResource
from assets.staged import StagedObjects
from usage_etl.facts.restatements import day_figures, open_ends, restatements_month
from usage_etl.lake import Commit, DayContent
from usage_etl.periods import Month
from usage_etl.schemas import BILLING_CHARGES, FACT_RESTATEMENTS, FACT_USAGE_HOURLY, STAGED_CHARGES, STAGED_USAGE, Table

_BUILT_FROM = {STAGED_USAGE.name: FACT_USAGE_HOURLY, STAGED_CHARGES.name: BILLING_CHARGES}
_SHOWN_ROWS = 50
_LAST = pl.col("rebuild_number").max()


def note_build(workspace: Workspace, staged: StagedObjects, table: Table, commit: Commit) -> None:
    """Notes that a day of ``table`` is built from ``staged``; nothing is read or written where that is noted already."""
    staged_name, fingerprint = staged.table.name, staged.inputs.fingerprint
    if workspace.index.is_built(staged_name, staged.day, fingerprint, commit.sha256):
        return
    content = DayContent(
        version=commit.sha256,
        figures=day_figures(workspace.lake.scan(table, [commit.partition])),
        deliveries=[part.delivery_id for part in staged.inputs.parts],
    )
    workspace.index.mark_built(staged_name, staged.day, fingerprint, content)


def restatements_asset(partitioning: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The log of restated days, by the month of the day: a function of the noted builds."""
    deps = [FACT_USAGE_HOURLY.name, BILLING_CHARGES.name]

    @dg.multi_asset(name=FACT_RESTATEMENTS.name, specs=[table_spec(FACT_RESTATEMENTS, deps=deps)], **partitioning)
    def restated(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()

        def build(key: str) -> Mapping[str, Commit]:
            commits = _commit(opened, Month.parse(key))
            shown = restated_days(opened.lake.scan(FACT_RESTATEMENTS, [key]).collect())
            context.add_asset_metadata(shown, asset_key=FACT_RESTATEMENTS.name, partition_key=key)
            return commits

        yield from build_partitions(context, build)

    return restated


def _commit(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    noted = workspace.index.restatements((month.first_day, month.last_day))
    rebuilds = [rebuild.of(_BUILT_FROM[rebuild.table_name].name) for rebuild in noted if rebuild.table_name in _BUILT_FROM]
    frame = restatements_month(rebuilds, month=month.first_day)
    used = {"rebuilds": frame.write_json()}
    return commit_derived(workspace, FACT_RESTATEMENTS, month.first_day.isoformat(), {}, lambda: frame, settings=used)


def restated_days(rows: pl.DataFrame) -> dict[str, Any]:
    """How many days of a month were restated, and the last rebuilds as a table."""
    shown = rows.sort("built_at", "table_name", "usage_date", descending=[True, False, False]).head(_SHOWN_ROWS)
    names = ("built_at", "table_name", "usage_date", "currency", "before_effective_cost", "after_effective_cost", "cause")
    lines = ["|".join(names), "|".join("---" for _ in names)]
    lines += ["|".join(str(row[name]) for name in names) for row in shown.iter_rows(named=True)]
    return {
        "rebuilds": rows.select("table_name", "usage_date", "rebuild_number").n_unique() if rows.height else 0,
        "restated_days": rows["usage_date"].n_unique(),
        "last_rebuilds": dg.MetadataValue.md("\n".join(f"|{line}|" for line in lines)),
    }


def restatements_check() -> dg.AssetChecksDefinition:
    """Every rebuild of a day begins where the one before ended, and the last one says what is stored."""

    @dg.asset_check(asset=FACT_RESTATEMENTS.name, name="chain_ends_at_what_is_stored", blocking=True)
    def chain_ends_at_what_is_stored(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        opened = workspace.open()
        partitions = checked_partitions(context, opened.lake, FACT_RESTATEMENTS)
        rows = opened.lake.scan(FACT_RESTATEMENTS, partitions).collect()
        faults: list[str] = []
        for staged_name, table in _BUILT_FROM.items():
            last = dict(
                rows.filter(pl.col("table_name") == table.name).group_by("usage_date").agg(_LAST).sort("usage_date").rows()
            )
            for day, number in last.items():
                if number != max(
                    found.number for found in opened.index.restatements((day, day)) if found.table_name == staged_name
                ):
                    continue  # rebuilt since: its month is requested again
                faults += open_ends(rows, table, day, day_figures(opened.lake.scan(table, [day.isoformat()])))
        return dg.AssetCheckResult(passed=not faults, metadata={"rebuilds": rows.height, "faults": dg.MetadataValue.json(faults)})

    return chain_ends_at_what_is_stored
