"""The reference pages say what the code says: every table, column and setting is there, and no page is stale."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from usage_etl.config.base import SecretRef
from usage_etl.config.contract_files import CONTRACT_COLUMNS, SURCHARGE_COLUMNS
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.finance_files import FINANCE_FILES, FinanceFile
from usage_etl.config.settings import Settings
from usage_etl.schemas import TABLES
from usage_etl.schemas.contract import Table
from usage_etl.sources.registry import SOURCE_KINDS, SOURCES

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Text below a heading, up to the next heading of its level or above."""
    level = heading.partition(" ")[0]
    lines = iter(text.splitlines())
    assert any(line == heading for line in lines), f"no heading {heading!r}"
    body = []
    for line in lines:
        if line.startswith("#") and len(line.partition(" ")[0]) <= len(level):
            break
        body.append(line)
    return "\n".join(body)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py, which is a script and no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_page_is_stale(generator: ModuleType) -> None:
    assert generator.stale_pages() == [], "run `make docs` and look at what changed"


def test_check_names_a_stale_page(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generator, "PAGES", {"reference/tables.md": lambda: "something else"})
    assert generator.main(["--check"]) == 1
    assert capsys.readouterr().out == "reference/tables.md\n"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_and_column_is_described(table: Table) -> None:
    body = section(page("reference/tables.md"), f"## {table.name}")
    assert f"One row is {table.grain}." in body
    rows = {line.split("|")[1].strip().strip("`"): line for line in body.splitlines() if line.startswith("| `")}
    assert list(rows) == list(table.columns)
    undescribed = [name for name, column in table.columns.items() if not column.description]
    assert undescribed == [], "describe the column where it is declared"


def test_table_names_are_unique() -> None:
    assert len({table.name for table in TABLES}) == len(TABLES)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every key below a settings section with its description, as the page spells it."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        yield prefix + name, field.description
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel) and nested is not SecretRef:
            yield from keys(nested, f"{name}.")


@pytest.mark.parametrize("model", [Settings, *SOURCE_KINDS], ids=lambda model: model.__name__)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    text = page("reference/settings.md")
    if model is not Settings:
        text = section(text, f"## sources: {model.model_fields['kind'].annotation.__args__[0]}")
    missing = [name for name, _ in keys(model) if f"| `{name}` |" not in text]
    assert missing == []
    assert [name for name, description in keys(model) if not description] == []


@pytest.mark.parametrize("file_name", DIRECTORY_FILES)
def test_every_directory_column_is_described(file_name: str) -> None:
    table = DIRECTORY_FILES[file_name].table
    body = section(page("reference/directory.md"), f"## {file_name}")
    assert [name for name in table.columns if f"| `{name}` |" not in body] == []


@pytest.mark.parametrize("kind", FINANCE_FILES, ids=lambda kind: kind.table.name)
def test_every_column_of_a_finance_file_is_described(kind: FinanceFile) -> None:
    body = section(page("reference/directory.md"), f"## {kind.place}")
    assert [name for name in kind.table.columns if f"| `{name}` |" not in body] == []


def test_every_contract_price_column_is_described() -> None:
    body = section(page("reference/prices.md"), "## The contract file")
    assert [name for name in CONTRACT_COLUMNS if f"| `{name}` |" not in body] == []
    body = section(page("reference/prices.md"), "## The surcharge file")
    assert [name for name in SURCHARGE_COLUMNS if f"| `{name}` |" not in body] == []


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_has_a_page_an_example_and_a_note_on_where_it_comes_from(kind: str) -> None:
    recorded = DOCS.parent / "tests" / "recorded" / kind
    assert (DOCS / "sources" / f"{kind}.md").exists()
    assert (recorded / "NOTE.md").exists()
    assert [path for path in recorded.rglob("*") if path.is_file() and path.name != "NOTE.md"]
