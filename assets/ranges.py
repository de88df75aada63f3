"""Range runs: build partition by partition, record each as it is durable, lose only the ones that fail."""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from assets.describe import commit_metadata
from assets.retries import retry_or
from usage_etl.lake import Commit, TableStore
from usage_etl.schemas import Table

PartitionBuilder = Callable[[str], Mapping[str, Commit]]
"""Builds one partition and returns the commit of each table it wrote."""


def checked_partitions(context: dg.AssetCheckExecutionContext, lake: TableStore, table: Table) -> list[str]:
    """Partitions that the run builds; of a run without partitions, as of checks alone, all of ``table`` that are stored."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return lake.partitions(table)
    return list(context.partition_keys)


def build_partitions(context: dg.AssetExecutionContext, build: PartitionBuilder) -> Iterator[dg.MaterializeResult]:
    """Runs ``build`` for each partition of the run.

    Each finished partition is recorded at once, so a crash or one bad partition leaves the others green. Raises
    dagster.Failure naming every partition that failed, or asks to be tried again if that can help one of them.
    """
    keys = list(context.partition_keys)
    written: dict[str, list[Commit]] = {}
    failures: dict[str, Exception] = {}
    for key in keys:
        try:
            commits = build(key)
        except Exception as error:  # noqa: BLE001 - one bad partition must not lose the others
            context.log.error("partition=%s failed: %s", key, error)  # noqa: TRY400 - the failure below carries the traceback
            failures[key] = error
            continue
        for table_name, commit in commits.items():
            written.setdefault(table_name, []).append(commit)
            if len(keys) > 1:
                _record(context, table_name, key, commit)
    if failures:
        raise _failure(failures, context)
    for table_name, table_commits in written.items():
        yield dg.MaterializeResult(asset_key=table_name, metadata=_run_metadata(table_commits))


def _record(context: dg.AssetExecutionContext, table_name: str, key: str, commit: Commit) -> None:
    metadata = commit_metadata(commit)
    context.log_event(dg.AssetMaterialization(asset_key=table_name, partition=key, metadata=metadata))
    context.add_asset_metadata(metadata, asset_key=table_name, partition_key=key)


def _run_metadata(commits: list[Commit]) -> dict[str, dg.MetadataValue | int | str | bool | float]:
    if len(commits) == 1:
        return commit_metadata(commits[0])
    return {"partitions_built": len(commits), "partitions_changed": sum(commit.changed for commit in commits)}


def _failure(failures: Mapping[str, Exception], context: dg.AssetExecutionContext) -> Exception:
    shown = "\n".join(f"- {key}: {error}" for key, error in list(failures.items())[:20])
    failure = dg.Failure(
        description=f"{len(failures)} of {len(context.partition_keys)} partition(s) failed; the others are committed.\n{shown}",
        metadata={"failed_partitions": dg.MetadataValue.json(sorted(failures))},
        allow_retries=False,
    )
    failure.__cause__ = next(iter(failures.values()))
    return retry_or(failure, list(failures.values()), context)
