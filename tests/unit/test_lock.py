"""Both locks pin everything by hash, name no address, fit the declared dependencies and agree with each other."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "deploy/requirements.lock")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)( ; .*)? \\$")

# Versions that must not come back: known holes, or known to break the set.
SQLALCHEMY_LIMIT = (2, 1)
WEASYPRINT_FLOOR = (70, 0)

TRANSITIVE = {"pydantic-core"}
"""Half of a declared package that is published apart."""


def pins(name: str) -> dict[str, set[str]]:
    """Package to its locked versions; a package may have one for each span of Python versions."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_or_a_hash(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()[1:]
    strange = [line for line in lines if not PIN.match(line) and not re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)]
    assert strange == []
    hashed = [line for line, following in pairwise(lines) if PIN.match(line) and "--hash=" in following]
    assert len(hashed) == sum(bool(PIN.match(line)) for line in lines)


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_and_no_folder_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|^-|file:|find-links|index", text, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_versions_stay_inside_known_limits(name: str) -> None:
    locked = pins(name)
    assert all(version(found) < SQLALCHEMY_LIMIT for found in locked["sqlalchemy"])
    assert all(version(found) >= WEASYPRINT_FLOOR for found in locked["weasyprint"])
    family = {name: found for name, found in locked.items() if name.startswith("dagster")}
    assert len({next(iter(found)).split(".")[-1] for found in family.values()}) == 1, family


def test_the_run_lock_is_a_part_of_the_whole() -> None:
    whole, runtime = pins(LOCKS[0]), pins(LOCKS[1])
    assert {name for name in runtime if not runtime[name] <= whole.get(name, set())} == set()
    assert not {"pytest", "mypy", "moto", "pandas"} & runtime.keys()


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = declared_names(project["project"]["dependencies"])
    assert declared <= pins(LOCKS[1]).keys()
    assert declared | declared_names(project["dependency-groups"]["dev"]) <= pins(LOCKS[0]).keys()


def imported_packages(*folders: str) -> set[str]:
    """Distributions that the files of ``folders`` import directly."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {(node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    installed = packages_distributions()
    outside = modules - sys.stdlib_module_names - {"usage_etl", "assets", "tests", "benchmarks"}
    unknown = outside - installed.keys()
    assert unknown == set()
    return {re.sub(r"[-_.]+", "-", installed[module][0]).lower() for module in outside}


def declared_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=~! ]", requirement)[0].lower() for requirement in requirements}


def test_every_direct_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = declared_names(project["project"]["dependencies"])
    assert imported_packages("usage_etl", "assets") - declared == set()
    declared |= declared_names(project["dependency-groups"]["dev"])
    assert imported_packages("tests", "benchmarks", "docs", "scripts") - declared - TRANSITIVE == set()


def test_no_second_code_location_hides_workspace_yaml() -> None:
    """A [tool.dagster] or [tool.dg] block would win over workspace.yaml without a word."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert not {"dagster", "dg"} & tools.keys()
