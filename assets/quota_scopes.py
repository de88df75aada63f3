"""Whether quotas and pools stand on scopes that exist: asked of the directories and of the usage that the lake holds."""

from collections.abc import Mapping

import polars as pl

from assets.resources import Workspace
from usage_etl.config.quota_scopes import KNOWN_BY_USAGE, Members, scope_faults
from usage_etl.errors import DirectoryError
from usage_etl.schemas import FACT_USAGE_MONTHLY


def refuse_unknown_scopes(workspace: Workspace, frames: Mapping[str, pl.DataFrame]) -> None:
    """Raises DirectoryError naming every quota and pool of ``frames`` whose scope nobody knows."""
    problems = unknown_scopes(workspace, frames)
    if problems:
        raise DirectoryError(workspace.settings.resolve(workspace.settings.directory), problems)


def unknown_scopes(workspace: Workspace, frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """One line per quota or pool of ``frames`` whose scope nobody knows."""
    organization_id = workspace.settings.organization.id
    without_usage = list(scope_faults(frames, organization_id=organization_id, used={}))
    if not without_usage:
        return []
    return list(scope_faults(frames, organization_id=organization_id, used=_used(workspace)))


def _used(workspace: Workspace) -> Members | None:
    """Members that usage names; None while the lake holds no usage."""
    lake = workspace.lake
    months = lake.filled_partitions(FACT_USAGE_MONTHLY)
    if not months:
        return None
    usage = lake.scan(FACT_USAGE_MONTHLY, months)
    columns = [usage.select(pl.col(f"{kind}_id").cast(pl.String).drop_nulls().unique()) for kind in KNOWN_BY_USAGE]
    found = pl.collect_all(columns)
    return {kind: set(frame.to_series()) for kind, frame in zip(KNOWN_BY_USAGE, found, strict=True)}
