"""The wheel alone, without the checkout beside it, holds everything and works."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without network access."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return next(folder.glob("usage_etl-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, to be put before everything else on the import path."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def usage_etl(installed: Path, cwd: Path, *arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """The command of the wheel, run in ``cwd``; it says where it was imported from."""
    program = (
        "import pathlib, sys, usage_etl, assets\n"
        f"assert all(pathlib.Path(m.__file__).is_relative_to({str(installed)!r}) for m in (usage_etl, assets))\n"
        "from usage_etl.cli.main import main\n"
        "sys.argv[0] = 'usage-etl'\n"
        "main()\n"
    )
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("USAGE_ETL_", "DAGSTER_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(installed), "DAGSTER_DISABLE_TELEMETRY": "yes", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_wheel_holds_packages_templates_and_workspace(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"usage_etl/py.typed", "assets/definitions.py", "usage_etl/_data/workspace.yaml"} <= names
    templates = {
        f"usage_etl/_data/report_templates/{path.relative_to(ROOT / 'report_templates').as_posix()}"
        for path in (ROOT / "report_templates").rglob("*")
        if path.is_file()
    }
    assert templates
    assert templates <= names
    packaged = {name.partition("/")[0] for name in names}
    assert {name for name in packaged if not name.endswith(".dist-info")} == {"usage_etl", "assets"}


def test_every_module_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        path.relative_to(ROOT).as_posix() for package in ("usage_etl", "assets") for path in (ROOT / package).rglob("*.py")
    }
    assert modules - names == set()


def test_wheel_installs_the_command(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "usage-etl = usage_etl.cli.main:main" in archive.read(name).decode()


def test_a_new_installation_starts_and_is_checked(installed: Path, tmp_path: Path) -> None:
    started = usage_etl(installed, tmp_path, "init")
    assert started.returncode == 0, started.stderr
    assert (tmp_path / "usage_etl.yaml").exists()
    checked = usage_etl(installed, tmp_path, "doctor")
    assert "no object yet" in checked.stdout
    assert "probe page was rendered" in checked.stdout, checked.stdout + checked.stderr
    assert checked.returncode == 1, "the one fault left is that no logs have arrived"


def test_unusable_settings_end_with_exit_code_2(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "usage_etl.yaml").write_text("version: 1\ncolour: green\n", encoding="utf-8")
    outcome = usage_etl(installed, tmp_path, "run")
    assert outcome.returncode == 2
    assert "colour" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    outcome = usage_etl(installed, tmp_path, "demo", "--target", "demo", timeout=600)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert list((tmp_path / "demo" / "out").rglob("*.pdf"))
    assert list((tmp_path / "demo" / "out").rglob("*.eml"))
    assert list((tmp_path / "demo" / "out").rglob("chargeback.csv"))
