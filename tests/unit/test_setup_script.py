"""Set-up says what is missing and stops, instead of failing half-way. What it installs is not tried here."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "id", "uname", "rm", "cat", "grep")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the set-up scripts, and a bin/ that holds nothing but the few tools they need."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "bin" / "sh"), "scripts/setup.sh"],
        cwd=checkout,
        env={"PATH": str(checkout / "bin"), "HOME": str(checkout), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def fake_python(checkout: Path, *, version: tuple[int, int], missing: str = "") -> None:
    """A ``python3`` that answers the few questions of set-up."""
    script = checkout / "bin" / "python3"
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        f"    *version_info*exit*|*exit*version_info*) exit {int(not (3, 11) <= version < (3, 14))} ;;\n"
        f"    *version_info*) printf '%s' '{version[0]}.{version[1]}' ;;\n"
        f"    --version) printf '%s' 'Python {version[0]}.{version[1]}.0' ;;\n"
        f"    *system_libraries.py) printf '%s\\n' '{missing}' ;;\n"
        "    *) exit 1 ;;\n"
        "esac\n",
        encoding="utf-8",
    )
    script.chmod(0o755)


def test_no_python_is_said(checkout: Path) -> None:
    outcome = set_up(checkout)
    assert outcome.returncode == 1
    assert "no Python from 3.11 to 3.13 was found" in outcome.stderr
    assert "PYTHON=" in outcome.stderr


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_a_python_of_another_version_is_passed_over(checkout: Path, version: tuple[int, int]) -> None:
    fake_python(checkout, version=version)
    assert "no Python from 3.11 to 3.13 was found" in set_up(checkout).stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has brew in place of apt-get")
def test_everything_that_is_missing_is_named_with_the_command(checkout: Path) -> None:
    fake_python(checkout, version=(3, 12), missing="libpango-1.0-0")
    outcome = set_up(checkout, USAGE_ETL_NO_INSTALL="1")
    assert outcome.returncode == 1
    assert "sudo apt-get install -y libpango-1.0-0 python3.12-venv" in outcome.stderr
    assert not (checkout / ".venv").exists()


@pytest.fixture(scope="module")
def libraries() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "system_libraries.py"))


def test_a_library_that_does_not_exist_is_not_loadable(libraries: dict[str, Any]) -> None:
    assert not libraries["is_loadable"]("libdoes-not-exist.so.0")


def test_fonts_are_found_below_folders(libraries: dict[str, Any], tmp_path: Path) -> None:
    assert not libraries["has_font"]((tmp_path, tmp_path / "absent"))
    (tmp_path / "truetype").mkdir()
    (tmp_path / "truetype" / "one.TTF").touch()
    assert libraries["has_font"]((tmp_path,))


def test_a_mac_without_pango_is_sent_to_brew(libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(libraries["missing_packages"].__globals__, "MAC_LIBRARY_FOLDERS", (tmp_path,))
    assert libraries["missing_packages"]("darwin") == ["pango"]
    for name in libraries["MAC_LIBRARIES"]:
        (tmp_path / name).touch()
    assert libraries["missing_packages"]("darwin") == []


def test_this_machine_has_what_pdf_needs(libraries: dict[str, Any]) -> None:
    assert libraries["missing_packages"](sys.platform) == []
    assert os.name == "posix"
