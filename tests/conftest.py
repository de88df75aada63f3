"""What all tests share: servers that may be absent, and how thoroughly properties are tried."""

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import hypothesis
import pytest
import sqlalchemy as sa

from tests import spreading

SERVERS_REQUIRED = "USAGE_ETL_REQUIRE_SERVERS"
"""Set to 1 (by .ci/run) to make a missing server a failure instead of a skip."""

POSTGRES_VARIABLE = "USAGE_ETL_TEST_POSTGRES"
POSTGRES_DEFAULT = "postgresql+psycopg2://postgres@127.0.0.1:5432/postgres"
"""A role that may create databases, and a database in which it may create schemas. Tests drop what they make."""

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")

# Two busy cores: no deadline. The seed of a failing example is printed, and examples are not stored between runs.
hypothesis.settings.register_profile("gate", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("gate")

NO_ANSWER = " does not answer"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Packed bytes hold the second in which they were packed: as a test's name they would differ between workers."""
    return "packed" if isinstance(val, bytes) and val.startswith((b"\x1f\x8b", b"PK")) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How tests are spread over several workers; ``--dist`` other than loadfile stays as pytest-xdist does it."""
    return spreading.scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def require_server() -> Callable[[str, bool], None]:
    """Call with a name and whether it answers: skips loudly when it does not, fails where servers are required."""

    def require(name: str, reachable: bool) -> None:
        if reachable:
            return
        if os.environ.get(SERVERS_REQUIRED) == "1":
            pytest.fail(f"{name}{NO_ANSWER}, and {SERVERS_REQUIRED}=1 makes that a failure")
        pytest.skip(f"{name}{NO_ANSWER}")

    return require


def is_listening(url: str, *, default_port: int) -> bool:
    """True when something accepts connections where ``url`` points."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or default_port), timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture
def postgres_database(require_server: Callable[[str, bool], None]) -> Iterator[str]:
    """Address of an empty PostgreSQL database that is dropped afterwards."""
    server = os.environ.get(POSTGRES_VARIABLE, POSTGRES_DEFAULT)
    require_server("PostgreSQL", is_listening(server, default_port=5432))
    name = f"usage_etl_test_{uuid4().hex[:12]}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f"drop database {name} with (force)"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each server whose tests did not run, so that a green run does not hide them."""
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())}
    for name in sorted(reason.removesuffix(NO_ANSWER) for reason in reasons if reason.endswith(NO_ANSWER)):
        terminalreporter.write_line(f"NOT TESTED: {name} did not answer, its tests were skipped", yellow=True, bold=True)
