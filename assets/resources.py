"""The one resource: the workspace, opened from the settings file. Everything that assets read or write hangs on it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import polars as pl
from sqlalchemy import Engine

from usage_etl.config import Settings, load_settings, read_secret
from usage_etl.config.base import SecretRef
from usage_etl.config.directory import read_directories
from usage_etl.config.finance_files import read_finance_files
from usage_etl.config.price_files import accepted_files, contract_of, surcharges_of
from usage_etl.delivery.channels.registry import routes_of
from usage_etl.delivery.ledger import SendLedger
from usage_etl.delivery.outbox import Outbox
from usage_etl.events import Directories
from usage_etl.keys import fingerprint, sha256_hex
from usage_etl.lake import WHOLE, DeliveryIndex, Landing, ObjectStore, TableStore, open_state, open_store
from usage_etl.lake.anomaly_book import AnomalyBook
from usage_etl.lake.periods import PeriodBook
from usage_etl.pricing import ListPrices, ModelCatalog, parse_price_file, price_book, with_files
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_INVESTIGATION,
    DIM_PRICE,
    DIM_PROJECT,
    DIM_TEAM,
    DIM_USER,
    Table,
)
from usage_etl.sources.registry import SOURCE_KINDS

NAMING_TABLES = (DIM_USER, DIM_TEAM, DIM_API_KEY, DIM_FEATURE, DIM_PROJECT, DIM_INVESTIGATION)
"""Directories that decide the owners of a usage day, in the order of ``Directories``. What lies above teams decides none."""


def now() -> dt.datetime:
    """The clock, read here and nowhere below."""
    return dt.datetime.now(tz=dt.UTC)


@dataclass(frozen=True)
class Workspace:
    """Settings, stores and state of one installation."""

    settings: Settings

    @cached_property
    def store(self) -> ObjectStore:
        """Where landed and staged objects and tables are."""
        return self._open(self.settings.lake.location)

    @cached_property
    def out(self) -> ObjectStore:
        """Where reports are published."""
        return self._open(self.settings.reports.location)

    @cached_property
    def lake(self) -> TableStore:
        """The tables."""
        return TableStore(self.store, history_days=self.settings.lake.history_days, clock=now)

    @cached_property
    def engine(self) -> Engine:
        """Connections to the state database."""
        return open_state(state_url(self.settings))

    @cached_property
    def index(self) -> DeliveryIndex:
        """Which object was delivered when, and what became of it."""
        return DeliveryIndex(self.engine)

    @cached_property
    def landing(self) -> Landing:
        """Landed objects."""
        return Landing(self.store, self.index, clock=now)

    @cached_property
    def ledger(self) -> SendLedger:
        """Which content was sent to whom."""
        return SendLedger(self.engine)

    @cached_property
    def outbox(self) -> Outbox:
        """Alerts on their way to the configured channels."""
        return Outbox(self.engine, now, routes=routes_of(self.settings.channels))

    @cached_property
    def period_book(self) -> PeriodBook:
        """Which months are closed."""
        return PeriodBook(self.engine)

    @cached_property
    def anomaly_book(self) -> AnomalyBook:
        """What became of anomalies."""
        return AnomalyBook(self.engine)

    @property
    def catalog(self) -> ModelCatalog:
        """Canonical models of logged names."""
        return ModelCatalog(self.settings.prices.model_aliases, self.list_prices.providers)

    @property
    def list_prices(self) -> ListPrices:
        """Published lists with the accepted price files as they lie in their folder now."""
        return _list_prices(self.settings.prices.sources, tuple(accepted_files(self.settings).items()))

    @property
    def as_of_date(self) -> dt.date:
        """Last complete UTC day, or the configured one."""
        return self.settings.as_of_date or now().date() - dt.timedelta(days=1)

    def open_location(self, location: str) -> ObjectStore:
        """A source's folder or bucket. Raises LakeError when a folder is not there: a misspelt one must not look empty."""
        return self._open(location, must_exist=True)

    def read_directories(self) -> dict[str, pl.DataFrame]:
        """The directory files as frames, by table name."""
        return read_directories(Path(self.settings.resolve(self.settings.directory)))

    def read_finance_files(self) -> dict[str, pl.DataFrame]:
        """Registered invoices, exchange rates and disputes as frames, by table name."""
        return read_finance_files(Path(self.settings.resolve(self.settings.finance)))

    def price_book(self) -> pl.DataFrame:
        """DIM_PRICE of the lists, accepted price files, contract and surcharges."""
        return price_book(self.list_prices, contract_of(self.settings), surcharges_of(self.settings))

    def table(self, table: Table) -> pl.DataFrame:
        """An unpartitioned table, whole."""
        return self.lake.scan(table, [WHOLE]).collect()

    def deliveries(self) -> pl.DataFrame:
        """One row per delivery of the index: source, kind, status, counts and arrival."""
        schema: dict[str, pl.DataType] = {
            "source": pl.String(),
            "source_kind": pl.String(),
            "delivery_id": pl.String(),
            "status": pl.String(),
            "status_reason": pl.String(),
            "rows_read_count": pl.Int64(),
            "rows_staged_count": pl.Int64(),
            "rows_quarantined_count": pl.Int64(),
            "records_staged_count": pl.Int64(),
            "rows_out_of_scope_count": pl.Int64(),
            "received_at": pl.Datetime("us", "UTC"),
        }
        rows = [
            (
                delivery.source, delivery.kind, delivery.delivery_id, delivery.status, delivery.status_reason,
                delivery.rows_read_count, delivery.rows_staged_count, delivery.rows_quarantined_count,
                delivery.records_staged_count, delivery.rows_out_of_scope_count, delivery.received_at,
            )
            for delivery in self.index.deliveries()
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row")

    def staged_rows(self) -> pl.DataFrame:
        """One row per staged object: source, delivery_id, table_name, usage_date, rows_count and of those lost_count."""
        schema: dict[str, pl.DataType] = {
            "source": pl.String(),
            "delivery_id": pl.String(),
            "table_name": pl.String(),
            "usage_date": pl.Date(),
            "rows_count": pl.Int64(),
            "lost_count": pl.Int64(),
        }
        return pl.DataFrame(self.index.staged_rows(), schema=schema, orient="row")

    def directories(self) -> Directories:
        """The stored directories that name owners."""
        return Directories(*(self.table(table) for table in NAMING_TABLES))

    def reference_versions(self) -> Mapping[str, str]:
        """Version of everything besides staged rows that decides a usage day: prices, owners, aliases."""
        heads = {table.name: self.lake.head(table, WHOLE) for table in (DIM_PRICE, *NAMING_TABLES)}
        versions = {name: head.sha256 if head else "absent" for name, head in heads.items()}
        files = {name: sha256_hex(content) for name, content in accepted_files(self.settings).items()}
        names = {"model_aliases": self.settings.prices.model_aliases, "price_files": files} if files else None
        return versions | {"model_aliases": fingerprint(names or self.settings.prices.model_aliases)}

    def _open(self, location: str, *, must_exist: bool = False) -> ObjectStore:
        s3 = self.settings.s3
        place = self.settings.resolve(location)
        return open_store(place, endpoint_url=s3.endpoint_url, region=s3.region, must_exist=must_exist)


def state_url(settings: Settings) -> str:
    """Address of the state database; a relative SQLite file lies beside the settings file."""
    url = settings.state.url
    text = read_secret(url) if isinstance(url, SecretRef) else url
    if urlsplit(text).scheme == "sqlite" and not text.startswith("sqlite:////"):
        return f"sqlite:///{settings.resolve(text.removeprefix('sqlite:///'))}"
    return text


@lru_cache(maxsize=2)
def _list_prices(sources: tuple[str, ...], files: tuple[tuple[str, bytes], ...]) -> ListPrices:
    """Lists under price files, parsed once for as long as neither changes."""
    return with_files(ListPrices.bundled(sources), [parse_price_file(name, content) for name, content in files])


@lru_cache(maxsize=8)
def open_workspace(config_file: str) -> Workspace:
    """The workspace of a settings file, opened once per process. Raises ConfigError."""
    return Workspace(load_settings(config_file, kinds=SOURCE_KINDS))


class WorkspaceResource(dg.ConfigurableResource):
    """Gives assets the workspace of one settings file."""

    config_file: str

    def open(self) -> Workspace:
        """The workspace, opened once per process."""
        return open_workspace(self.config_file)
