"""The wheel alone, without the checkout beside it, holds everything and works."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pypdf
import pytest
import yaml

from usage_etl import __version__ as usage_etl_version

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
    """The programs of a new virtual environment in which pip installed this wheel and nothing else.

    The packages that it needs are those of the tests' own environment, found by path: a path in a ``.pth`` file does not
    read the ``.pth`` files there, so an editable installation of the checkout stays out.
    """
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True, timeout=120)
    (site,) = folder.glob("lib/python3.*/site-packages")
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "packages_of_the_tests.pth").write_text("\n".join(paths), encoding="utf-8")
    return folder / "bin"


def in_installation(installed: Path, cwd: Path, *arguments: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """A program of the installation, run in ``cwd`` with nothing of the checkout in sight."""
    program, *rest = map(str, arguments)
    hidden = ("USAGE_ETL_", "DAGSTER_", "AWS_", "PYTHON")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(hidden)}
    return subprocess.run(
        [str(installed / program), *rest],
        cwd=cwd,
        env={**kept, "DAGSTER_DISABLE_TELEMETRY": "yes", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def usage_etl(installed: Path, cwd: Path, *arguments: object, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """The installed command ``usage-etl``."""
    return in_installation(installed, cwd, "usage-etl", *arguments, timeout=timeout)


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
    assert "usage-etl = usage_etl.cli.start:main" in archive.read(name).decode()


def test_the_code_is_the_wheel_s(installed: Path, tmp_path: Path) -> None:
    program = "import assets, usage_etl; print(assets.__file__, usage_etl.__file__)"
    outcome = in_installation(installed, tmp_path, "python", "-c", program)
    assert outcome.returncode == 0, outcome.stderr
    assert all(Path(name).is_relative_to(installed.parent) for name in outcome.stdout.split())
    assert usage_etl(installed, tmp_path, "version").stdout.strip() == usage_etl_version


def test_a_new_installation_starts_and_is_checked(installed: Path, tmp_path: Path) -> None:
    started = usage_etl(installed, tmp_path, "init")
    assert started.returncode == 0, started.stderr
    assert (tmp_path / "usage_etl.yaml").exists()
    checked = usage_etl(installed, tmp_path, "doctor")
    assert "no object yet" in checked.stdout
    assert "probe page was rendered" in checked.stdout, checked.stdout + checked.stderr
    assert checked.returncode == 1, "the one fault left is that no logs have arrived"


def test_the_code_location_loads_from_the_wheel_in_another_folder(installed: Path, tmp_path: Path) -> None:
    """As the workspace.yaml in the wheel says: module ``assets.definitions``, with the settings of the current folder."""
    usage_etl(installed, tmp_path, "init")
    (location,) = installed.parent.glob("lib/python3.*/site-packages/usage_etl/_data/workspace.yaml")
    (target,) = yaml.safe_load(location.read_text(encoding="utf-8"))["load_from"]
    program = (
        f"from {target['python_module']['module_name']} import defs\n"
        "jobs = sorted(job.name for job in defs.resolve_all_job_defs())\n"
        "print([name for name in jobs if not name.startswith('__')])\n"
    )
    outcome = in_installation(installed, tmp_path, "python", "-c", program)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == "['alerts', 'alerts_delivery', 'close', 'daily', 'land', 'limits', 'monthly', 'reports']"


def test_a_first_report_is_made_with_the_wheel_s_templates_and_fonts(installed: Path, tmp_path: Path, short_files: Path) -> None:
    usage_etl(installed, tmp_path, "init")
    settings = tmp_path / "usage_etl.yaml"
    dated = re.sub(r"^start_date: \S+", "start_date: 2026-11-01", settings.read_text(encoding="utf-8"), flags=re.MULTILINE)
    settings.write_text(dated, encoding="utf-8")
    shutil.copy(short_files / "landing" / "litellm" / "spend_logs_2026-11-17.jsonl.gz", tmp_path / "landing" / "litellm")
    outcome = usage_etl(installed, tmp_path, "run", "--from", "2026-11-17", "--to", "2026-11-17")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    pages = pypdf.PdfReader(tmp_path / "out" / "executive" / "2026-11" / "report.pdf").pages
    fonts = {str(font.get_object()["/BaseFont"]) for page in pages for font in page["/Resources"]["/Font"].values()}
    assert all("Inter" in font for font in fonts), fonts
    assert "My Company" in pages[0].extract_text()


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
