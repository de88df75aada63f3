"""Commits a table that is a function of other stored partitions, when those have changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from assets.resources import Workspace
from usage_etl.keys import fingerprint
from usage_etl.lake import Commit
from usage_etl.periods import Month
from usage_etl.schemas import Table

Reads = Mapping[Table, Sequence[str]]
"""Which partitions of which tables a derived partition is made from."""


def day_keys(month_key: str) -> list[str]:
    """Partition keys of a month's days."""
    return [day.isoformat() for day in Month.parse(month_key).days()]


def commit_derived(
    workspace: Workspace,
    table: Table,
    partition: str,
    reads: Reads,
    build: Callable[..., pl.LazyFrame | pl.DataFrame],
    *,
    settings: Mapping[str, object] = {},
) -> dict[str, Commit]:
    """Commits ``table`` built by ``build`` from one frame per read table, in order.

    Nothing is built when every read partition, the code and ``settings`` are those of the stored version.
    """
    lake = workspace.lake
    heads = (
        (source, partition, lake.head(source, partition)) for source, partitions in reads.items() for partition in partitions
    )
    standing = {f"{source.name}/{partition}": head.sha256 for source, partition, head in heads if head}
    inputs = derived_inputs(reads, standing, settings=settings)
    if lake.is_current(table, partition, inputs=inputs) and (head := lake.head(table, partition)):
        return {table.name: replace(head, changed=False)}
    frames = [lake.scan(source, partitions) for source, partitions in reads.items()]
    return {table.name: lake.commit(table, partition, build(*frames), inputs=inputs)}


def derived_inputs(reads: Reads, standing: Mapping[str, str], *, settings: Mapping[str, object]) -> dict[str, str]:
    """Inputs of a commit made from ``reads``; ``standing`` has the sha256 of stored partitions by ``table/partition``."""
    names = [f"{source.name}/{partition}" for source, partitions in reads.items() for partition in partitions]
    return {"settings": fingerprint(settings)} | {name: standing[name] for name in names if name in standing}
