"""Stores of both kinds, a small table with awkward columns, an S3 server and one that breaks on demand."""

import datetime as dt
import http.client
import http.server
import itertools
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import dataframely as dy
import polars as pl
import pytest
import sqlalchemy as sa
from moto.server import ThreadedMotoServer

from usage_etl.lake import DeliveryIndex, FolderStore, ObjectStore, TableStore, open_state
from usage_etl.lake.s3 import S3Store
from usage_etl.schemas.contract import Table, count, day, label, money, text
from usage_etl.schemas.state import metadata

DAY = dt.date(2026, 11, 1)
POSTGRES_URL = os.environ.get("USAGE_ETL_TEST_POSTGRES", "postgresql+psycopg2://postgres@127.0.0.1:5432/test")
_prefixes = (f"lake-{number}" for number in itertools.count())


class _Sale(dy.Schema):
    usage_date = day("day")
    owner_id = label("owner")
    note = text("free text")
    units_count = count("units")
    effective_cost = money("cost", nullable=True)


@pytest.fixture(scope="session")
def sales() -> Table:
    """A partitioned table whose sort columns do not key its rows."""
    return Table(
        name="sales",
        schema=_Sale,
        grain="one sale",
        partition="usage_date",
        sort_by=("owner_id",),
        group="2_facts",
        control_totals=("units_count", "effective_cost"),
    )


@pytest.fixture(scope="session")
def plain_sales(sales: Table) -> Table:
    """The same without partitions."""
    return Table(name="plain_sales", schema=sales.schema, grain="one sale", partition=None, sort_by=("owner_id",), group="x")


SaleRow = tuple[str | None, str | None, int, str | None]


@pytest.fixture(scope="session")
def sales_frame(sales: Table) -> Callable[..., pl.DataFrame]:
    """Frame of sales from ``(owner, note, units, cost)`` rows of one day."""

    def frame(*rows: SaleRow, day: dt.date = DAY) -> pl.DataFrame:
        data = [(day, owner, note, units, None if cost is None else Decimal(cost)) for owner, note, units, cost in rows]
        return pl.DataFrame(data, schema=sales.polars_schema, orient="row")

    return frame


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server in this process, with bucket ``lake``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        patch.delenv("AWS_PROFILE", raising=False)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="lake")
        yield endpoint
        server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store of each kind."""
    if request.param == "folder":
        return FolderStore(tmp_path / "lake")
    return S3Store("lake", next(_prefixes), endpoint_url=request.getfixturevalue("s3_endpoint"))


@pytest.fixture
def folder_store(tmp_path: Path) -> FolderStore:
    """An empty store on a folder."""
    return FolderStore(tmp_path / "lake")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        """The instant at which it stands."""
        return self.now

    def forward(self, **by: float) -> None:
        """Moves it by days, hours and so on."""
        self.now += dt.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lake(store: ObjectStore, clock: Clock) -> TableStore:
    """An empty lake on each kind of store."""
    return TableStore(store, clock=clock)


@pytest.fixture
def folder_lake(folder_store: FolderStore, clock: Clock) -> TableStore:
    """An empty lake on a folder."""
    return TableStore(folder_store, clock=clock)


@pytest.fixture(scope="session")
def postgres_state(require_server: Callable[[str, bool], None]) -> Iterator[sa.Engine]:
    """State tables in the real PostgreSQL, in a schema of this test run's own."""
    schema = f"lake_tests_{secrets.token_hex(4)}"
    server = sa.create_engine(POSTGRES_URL, connect_args={"connect_timeout": 3})
    try:
        with server.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    except sa.exc.OperationalError:
        require_server(f"PostgreSQL at {server.url.host}:{server.url.port}", False)
    engine = open_state(f"{POSTGRES_URL}?options=-csearch_path%3D{schema}")
    yield engine
    engine.dispose()
    with server.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """Empty state tables in each kind of database."""
    if request.param == "sqlite":
        engine = open_state(f"sqlite:///{tmp_path}/state/state.sqlite")
        yield engine
        engine.dispose()
        return
    engine = request.getfixturevalue("postgres_state")
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    yield engine


@pytest.fixture
def index(state: sa.Engine, clock: Clock) -> DeliveryIndex:
    return DeliveryIndex(state, clock=clock)


class FaultyS3:
    """Passes requests on to the S3 server; ``faults`` says what befalls the next ones, by method."""

    def __init__(self, endpoint: str) -> None:
        self._target = urlsplit(endpoint).netloc
        self.faults: dict[str, list[str]] = {}
        self.requests: list[str] = []
        faulty = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                faulty.pass_on(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops the server."""
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answers one request, with the next fault for its method if there is one."""
        self.requests.append(request.command)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = (self.faults.get(request.command) or [None]).pop(0)
        if fault in {"409", "503"}:
            code = "ConditionalRequestConflict" if fault == "409" else "SlowDown"
            self._answer(request, int(fault), {}, f"<Error><Code>{code}</Code><Message>later</Message></Error>".encode())
            return
        connection = http.client.HTTPConnection(self._target)
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault == "lost":
            request.close_connection = True
            return
        self._answer(request, answer.status, dict(answer.headers), content, is_cut=fault == "cut")

    @staticmethod
    def _answer(
        request: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False
    ) -> None:
        request.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                request.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if request.command == "HEAD" else len(content)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if is_cut else content)
        request.close_connection = request.close_connection or is_cut


@pytest.fixture(scope="session")
def faulty_server(s3_endpoint: str) -> Iterator[FaultyS3]:
    faulty = FaultyS3(s3_endpoint)
    yield faulty
    faulty.close()


@pytest.fixture
def faulty_s3(faulty_server: FaultyS3) -> FaultyS3:
    """The faulty server, without faults yet."""
    faulty_server.faults = {}
    faulty_server.requests.clear()
    return faulty_server
