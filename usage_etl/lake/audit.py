"""Reads stored bytes and compares them with what the manifests say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import polars as pl

from usage_etl.errors import DamagedManifestError
from usage_etl.lake.manifests import Commit, Manifests, read_manifest
from usage_etl.lake.objects import ObjectStore
from usage_etl.schemas.contract import Table


def table_faults(store: ObjectStore, table: Table) -> Iterator[str]:
    """One line per object of ``table`` that is missing, changed or unknown, and per manifest that cannot be read."""
    known: set[str] = set()
    for info in Manifests(store).listed(table.name):
        try:
            commit, _ = read_manifest(info.key, store.read(info.key))
        except DamagedManifestError as error:
            yield str(error)
            continue
        known.add(commit.key)
        yield from _object_faults(store, commit)
    for info in store.list(f"{table.name}/"):
        if info.key not in known:
            yield f"{info.key}: an object that no readable manifest names"


def _object_faults(store: ObjectStore, commit: Commit) -> Iterator[str]:
    if store.head(commit.key) is None:
        yield f"{commit.key}: there is no such object, its manifest says {commit.rows_count} row(s)"
        return
    found = store.digest(commit.key)
    if found != commit.sha256:
        yield f"{commit.key}: sha256 is {found}, its manifest says {commit.sha256}"
        yield from (f"{commit.key}: {fault}" for fault in _content_faults(store, commit))


def _content_faults(store: ObjectStore, commit: Commit) -> Iterator[str]:
    """What a reader of the changed object would see differently."""
    address, options = store.address(commit.key), store.storage_options
    try:
        rows_count = pl.scan_parquet(address, storage_options=options, glob=False).select(pl.len()).collect().item()
        stated = pl.read_parquet_metadata(address, storage_options=options)
        totals = json.loads(stated.get("usage_etl.control_totals", "{}"))
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - damaged bytes make the reader fail in any way
        yield f"cannot be read as Parquet: {error}"
        return
    if rows_count != commit.rows_count:
        yield f"holds {rows_count} row(s), its manifest says {commit.rows_count}"
    if totals != commit.control_totals:
        yield f"control totals are {totals}, its manifest says {commit.control_totals}"
