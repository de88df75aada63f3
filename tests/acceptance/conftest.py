"""What the tests of this folder share: demo organisations that have gone through the whole pipeline once."""

import datetime as dt
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.three_months_acts import Stage
from usage_etl.demo import DemoSummary, write_demo
from usage_etl.demo.organization import build_organization
from usage_etl.demo.requests import Request
from usage_etl.demo.traffic import all_requests

DAYS, SHORT_DAYS = 68, 13
"""The least window that holds every event of the demo's story, and one that holds the last week's and a refused file."""

VOLUME = 0.12
"""Share of the demo's usual traffic."""


@pytest.fixture(scope="session", autouse=True)
def quiet_environment() -> Iterator[None]:
    """No settings, credentials or Dagster home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in {"DAGSTER_HOME", "USAGE_ETL_CONFIG"} or name.startswith("AWS_"):
                patch.delenv(name)
        patch.setenv("DAGSTER_EVENT_BATCH_SIZE", "200")
        yield


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    """The demo's files are written, and this is what is true of them."""
    return write_demo(tmp_path_factory.mktemp("northwind"), days=DAYS, volume=VOLUME)


@pytest.fixture(scope="session")
def northwind(truth: DemoSummary) -> Installation:
    """The demo after one run of the whole pipeline. Only read it: ``northwind_copy`` gives one to change."""
    installation = Installation(truth.target)
    installation.run()
    return installation


@pytest.fixture
def northwind_copy(northwind: Installation, tmp_path: Path) -> Installation:
    """The finished demo in a folder of its own."""
    return Installation(shutil.copytree(northwind.folder, tmp_path / "northwind"))


@pytest.fixture(scope="session")
def traffic(truth: DemoSummary) -> Mapping[dt.date, list[Request]]:
    """The demo's requests as they happened, by UTC day; nothing of this was read from a file."""
    return all_requests(truth.scenario, build_organization(truth.scenario))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Three months of Tidewater Labs; tests ask for the picture after an act. Acts that change it are the stage's own."""
    return Stage(tmp_path_factory.mktemp("tidewater"))


@pytest.fixture(scope="session")
def short_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a short demo that no pipeline has read. Only copy them."""
    return write_demo(tmp_path_factory.mktemp("short_files"), days=SHORT_DAYS, volume=VOLUME).target


@pytest.fixture(scope="session")
def short(short_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The short demo after one run of the whole pipeline. Only read it: ``short_copy`` gives one to change."""
    installation = Installation(shutil.copytree(short_files, tmp_path_factory.mktemp("short") / "northwind"))
    installation.run()
    return installation


@pytest.fixture
def short_copy(short: Installation, tmp_path: Path) -> Installation:
    """The finished short demo in a folder of its own."""
    return Installation(shutil.copytree(short.folder, tmp_path / "northwind"))
