"""Directories, finance's files and the price book as stored tables, read from the organisation's files and published lists."""

from collections.abc import Iterator

import dagster as dg

from assets.describe import commit_metadata, table_spec
from assets.quota_scopes import refuse_unknown_scopes
from assets.resources import WorkspaceResource
from assets.retries import retried_if_it_helps
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.finance_files import FINANCE_FILES
from usage_etl.lake import WHOLE
from usage_etl.schemas import DIM_OUTCOME, DIM_PRICE


def dimension_assets() -> list[dg.AssetsDefinition]:
    """Definitions of dim_price, of one table per directory file and of one per kind of finance file."""
    directory_tables = [*(file.table for file in DIRECTORY_FILES.values()), DIM_OUTCOME]
    finance_tables = [kind.table for kind in FINANCE_FILES]

    @dg.multi_asset(name="directories", specs=[table_spec(table) for table in directory_tables])
    def directories(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        with retried_if_it_helps(context):
            frames = opened.read_directories()
            refuse_unknown_scopes(opened, frames)
        for table in directory_tables:
            commit = opened.lake.commit(table, WHOLE, frames[table.name])
            yield dg.MaterializeResult(asset_key=table.name, metadata=commit_metadata(commit))

    @dg.multi_asset(name="finance_files", specs=[table_spec(table) for table in finance_tables])
    def finance_files(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        with retried_if_it_helps(context):
            frames = opened.read_finance_files()
        for table in finance_tables:
            commit = opened.lake.commit(table, WHOLE, frames[table.name])
            yield dg.MaterializeResult(asset_key=table.name, metadata=commit_metadata(commit))

    @dg.multi_asset(name="dim_price", specs=[table_spec(DIM_PRICE)])
    def dim_price(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult]:
        opened = workspace.open()
        with retried_if_it_helps(context):
            book, version = opened.price_book(), opened.list_prices.version
        commit = opened.lake.commit(DIM_PRICE, WHOLE, book, inputs={"list_prices": version})
        yield dg.MaterializeResult(asset_key=DIM_PRICE.name, metadata={**commit_metadata(commit), "list_prices": version})

    return [directories, finance_files, dim_price]
