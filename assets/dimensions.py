"""Directories and price book as stored tables, read from the organisation's files and from published lists."""

from collections.abc import Iterator

import dagster as dg

from assets.describe import commit_metadata, table_spec
from assets.resources import WorkspaceResource
from assets.retries import retried_if_it_helps
from usage_etl.config.directory import DIRECTORY_FILES
from usage_etl.lake import WHOLE
from usage_etl.schemas import DIM_PRICE


def dimension_assets() -> list[dg.AssetsDefinition]:
    """Definitions of dim_price and of one table per directory file."""
    directory_tables = [table for table, _ in DIRECTORY_FILES.values()]

    @dg.multi_asset(name="directories", specs=[table_spec(table) for table in directory_tables])
    def directories(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        with retried_if_it_helps(context):
            frames = opened.read_directories()
        for table in directory_tables:
            commit = opened.lake.commit(table, WHOLE, frames[table.name])
            yield dg.MaterializeResult(asset_key=table.name, metadata=commit_metadata(commit))

    @dg.multi_asset(name="dim_price", specs=[table_spec(DIM_PRICE)])
    def dim_price(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        with retried_if_it_helps(context):
            book, version = opened.price_book(), opened.list_prices.version
        commit = opened.lake.commit(DIM_PRICE, WHOLE, book, inputs={"list_prices": version})
        yield dg.MaterializeResult(asset_key=DIM_PRICE.name, metadata={**commit_metadata(commit), "list_prices": version})

    return [directories, dim_price]
