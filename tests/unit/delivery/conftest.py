"""State databases for the tests of the ledger: SQLite always, PostgreSQL where a server answers."""

import pytest

from usage_etl.lake import open_state


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request, tmp_path):
    """Address of an empty state database."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/state.sqlite" if is_sqlite else request.getfixturevalue("postgres_database")
    open_state(url).dispose()
    return url


@pytest.fixture
def engine(state_url):
    """An engine on the empty state database."""
    engine = open_state(state_url)
    yield engine
    engine.dispose()
