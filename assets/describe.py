"""What the Dagster UI shows of a table: description, columns, owner, group and the figures of one commit."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import dagster as dg

from usage_etl.lake import Commit
from usage_etl.schemas import Table


def table_spec(table: Table, *, deps: Iterable[dg.AssetKey | str] = (), skippable: bool = False) -> dg.AssetSpec:
    """Asset spec of a stored table, wholly from its contract."""
    return dg.AssetSpec(
        table.name,
        deps=list(deps),
        description=f"One row is {table.grain}.\n\n{table.notes}".strip(),
        group_name=table.group,
        owners=[table.owner],
        kinds={"polars", "parquet"},
        metadata=table_metadata(table),
        skippable=skippable,
    )


def table_metadata(table: Table) -> dict[str, Any]:
    """Static metadata: table name and the Columns tab."""
    return {
        "dagster/table_name": table.name,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name,
                    type=str(column.dtype),
                    description=_column_text(column),
                    constraints=dg.TableColumnConstraints(nullable=column.nullable),
                )
                for name, column in table.columns.items()
            ]
        ),
        "docs": dg.MetadataValue.md(f"docs/reference/tables.md#{table.name}"),
    }


def commit_metadata(commit: Commit) -> dict[str, Any]:
    """Figures of one committed partition; plain numbers, so that the UI charts them over partitions."""
    totals = {name: _number(total) for name, total in commit.control_totals.items()}
    return {
        "dagster/row_count": commit.rows_count,
        **totals,
        "sha256": commit.sha256,
        "changed": commit.changed,
    }


def _column_text(column: Any) -> str:
    extras: Mapping[str, str] = column.metadata or {}
    notes = "; ".join(f"{name}: {text}" for name, text in extras.items())
    return f"{column.description} ({notes})" if notes else str(column.description)


def _number(total: str) -> int | float:
    """A control total as a number for charts only; the exact text stays in the manifest."""
    exact = Decimal(total)
    return int(exact) if exact == exact.to_integral_value() else float(exact)
