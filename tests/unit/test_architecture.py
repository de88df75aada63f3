"""The house rules that a reader can check with `ast` alone: who imports whom, what pure rooms must not touch, sizes.

`make lint` checks the imports more thoroughly with import-linter; this test runs wherever pytest does.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {
    "sources",
    "lake",
    "delivery",
    "demo",
    "events",
    "pricing",
    "facts",
    "allocation",
    "quotas",
    "projections",
    "anomalies",
    "alerts",
    "recommendations",
    "reports",
}
PURE = {"events", "pricing", "facts", "allocation", "quotas", "projections", "anomalies", "alerts", "recommendations", "reports"}
HUB = {"config", "schemas"}
GROUND = {"errors", "keys", "money", "periods", "remainder", "units"}
ROOF = {"cli"}

ONE_FILE_ONLY = {
    "weasyprint": "usage_etl/reports/pdf.py",
    "boto3": "usage_etl/lake/s3.py",
    "botocore": "usage_etl/lake/s3.py",
}
CLOCKS_AND_ENVIRONMENT = {"now", "today", "utcnow", "environ", "getenv", "time_ns", "monotonic", "urandom", "uuid4"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

MODULES = sorted(path for package in ("usage_etl", "assets") for path in (ROOT / package).rglob("*.py"))


def room_of(module: str) -> str:
    """The part of the house: ``usage_etl.lake.s3`` is in ``lake``; anything else answers for itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "usage_etl" and len(parts) > 1 else parts[0]


def dotted_name(path: Path) -> str:
    """Module name of a file of the project."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module a file imports, wherever in the file it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room they reach into"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_faults(module: str, tree: ast.AST) -> list[str]:
    """What the file imports although its place in the house forbids it."""
    here = room_of(module)
    faults = []
    for target in set(imports(tree)):
        package, there = target.split(".")[0], room_of(target)
        if package.startswith("dagster") and here not in {"assets", *ROOF}:
            faults.append(f"{module} imports {target}: only assets and usage_etl.cli know Dagster")
        if package == "assets" and here not in {"assets", *ROOF}:
            faults.append(f"{module} imports {target}: the code location is above it")
        if package in ONE_FILE_ONLY and module != dotted_name(ROOT / ONE_FILE_ONLY[package]):
            faults.append(f"{module} imports {target}: only {ONE_FILE_ONLY[package]} may")
        if package != "usage_etl" or there in {here, "usage_etl"} or "." not in target:
            continue
        allowed = {
            **dict.fromkeys(GROUND, GROUND),
            "schemas": GROUND,
            "config": GROUND | {"schemas"},
            **dict.fromkeys(ROOMS, GROUND | HUB),
            "assets": GROUND | HUB | ROOMS,
        }.get(here)
        if allowed is not None and there not in allowed and there.islower() and not there.startswith("_"):
            faults.append(f"{module} imports {target}: {here} may import {', '.join(sorted(allowed))}")
    return faults


def impurities(tree: ast.AST) -> list[str]:
    """Reads of clock, environment or chance: names that only mean these."""
    return [
        f"line {node.lineno}: {node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS_AND_ENVIRONMENT
    ]


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without the functions inside it, which answer for themselves."""
    inner = [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef) and node is not function]
    covered = {line for node in inner for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return len(set(range(function.lineno, (function.end_lineno or function.lineno) + 1)) - covered)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_module_keeps_its_place(path: Path) -> None:
    tree = parsed(path)
    assert import_faults(dotted_name(path), tree) == []
    if path.relative_to(ROOT).as_posix() != "assets/__init__.py":
        assert ast.get_docstring(tree), f"{path.name} does not open with a docstring"
    assert path.stem not in VAGUE_NAMES


@pytest.mark.parametrize("path", MODULES, ids=dotted_name)
def test_module_is_of_readable_size(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{lines} lines: it is usually two nouns"
    functions = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert {node.name: own_lines(node) for node in functions if own_lines(node) > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(dotted_name(path)) in PURE], ids=dotted_name)
def test_pure_room_reads_no_clock_no_environment_and_no_chance(path: Path) -> None:
    assert impurities(parsed(path)) == []


def test_every_part_of_the_house_is_known_here() -> None:
    found = {path.stem if path.is_file() else path.name for path in (ROOT / "usage_etl").iterdir() if path.suffix in {"", ".py"}}
    assert found - {"__init__", "__pycache__", "_data"} <= ROOMS | HUB | GROUND | ROOF


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("usage_etl.events.normalise", "from usage_etl.lake import tables"),
        ("usage_etl.facts.usage", "import dagster"),
        ("usage_etl.lake.tables", "def late():\n    from assets.partitions import DAYS"),
        ("usage_etl.schemas.usage", "from usage_etl.config import Settings"),
        ("usage_etl.money", "from usage_etl import schemas"),
        ("usage_etl.reports.text", "import weasyprint"),
        ("usage_etl.delivery.publish", "import boto3"),
        ("assets.facts", "from usage_etl.cli.main import app"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert import_faults(module, ast.parse(source))


@pytest.mark.parametrize("source", ["datetime.now(UTC)", "dt.date.today()", "os.environ['HOME']", "uuid.uuid4()"])
def test_an_impurity_is_seen(source: str) -> None:
    assert impurities(ast.parse(source))


def test_allowed_imports_pass() -> None:
    source = "\n".join(("from usage_etl.config import Settings", "from usage_etl.schemas import TABLES", "import polars"))
    assert import_faults("usage_etl.facts.usage", ast.parse(source)) == []
