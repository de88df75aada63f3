"""Installations that are built once: a small one, landed and built, and the demo organisation with its reports."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.assets.installation import DAYS, Installation, write_small
from tests.assets.story import Story, tell_story
from usage_etl.demo import write_demo

DEMO_DAYS = 10
DEMO_SPAN = ("2026-11-10", "2026-11-19")
DEMO_MONTH = "2026-11-01"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that forgets."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="session")
def landed_once(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The small installation, landed but not built. Not to be changed."""
    installation = write_small(tmp_path_factory.mktemp("landed"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("land", instance).success
    return installation


@pytest.fixture(scope="session")
def built_once(landed_once: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The small installation with its days and months. Not to be changed."""
    installation = landed_once.copied_to(tmp_path_factory.mktemp("built"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("daily", instance, DAYS[0], DAYS[-1]).success
        assert installation.run("monthly", instance, "2026-10-01", "2026-11-01").success
    return installation


@pytest.fixture
def landed(landed_once: Installation, tmp_path: Path) -> Installation:
    """A copy of the small installation, landed but not built."""
    return landed_once.copied_to(tmp_path / "installation")


@pytest.fixture
def built(built_once: Installation, tmp_path: Path) -> Installation:
    """A copy of the small installation, landed and built."""
    return built_once.copied_to(tmp_path / "installation")


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo organisation's provider files of ten days. Not to be changed."""
    folder = tmp_path_factory.mktemp("demo_files")
    write_demo(folder, days=DEMO_DAYS, volume=0.12)
    return folder


@pytest.fixture(scope="session")
def demo(demo_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The demo organisation, landed, built and reported on. Tests that change it restore what they changed."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(demo_files, folder, dirs_exist_ok=True)
    installation = Installation(folder)
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("land", instance).success
        assert installation.run("daily", instance, *DEMO_SPAN).success
        assert installation.run("monthly", instance, DEMO_MONTH).success
        assert installation.run_month("reports", instance, DEMO_MONTH).success
    return installation


@pytest.fixture(scope="session")
def story(built_once: Installation, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The small installation with October published before and after a late file. Not to be changed."""
    return tell_story(built_once, tmp_path_factory.mktemp("story"))
