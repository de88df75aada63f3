"""The registry finds every folder that holds a source, and each says what its readers must know."""

import ast
import inspect
import typing
from pathlib import Path

import pytest

from usage_etl.sources import registry
from usage_etl.sources.registry import SOURCE_KINDS, SOURCES
from usage_etl.sources.source import Source

FOLDER = Path(registry.__file__).parent


def test_every_folder_holds_a_source_of_its_name() -> None:
    shared = {"fetching", "forms", "reading", "rows", "sandbox"}
    folders = {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert set(SOURCES) == folders - shared
    assert all(kind == source.kind for kind, source in SOURCES.items())


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_settings_of_a_source_name_its_kind(source: Source) -> None:
    assert typing.get_args(source.settings.model_fields["kind"].annotation) == (source.kind,)
    assert source.settings in SOURCE_KINDS


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_source_is_fetched_and_parsed_in_the_same_way(source: Source) -> None:
    assert list(inspect.signature(source.parse).parameters) == ["path", "context"]
    assert list(inspect.signature(source.fetch).parameters)[:2] == ["settings", "context"]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_source_names_its_parser_version_and_what_it_holds(source: Source) -> None:
    assert source.parser_version
    assert source.datasets
    assert all(vars(source.facts).values())


@pytest.mark.parametrize("kind", SOURCES)
def test_no_kind_imports_another(kind: str) -> None:
    """What two kinds need lies in a shared floor: a kind can be taken away by its folder alone."""
    imported = {
        node.module.split(".")[2]
        for path in (FOLDER / kind).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("usage_etl.sources.")
    }
    assert imported & (set(SOURCES) - {kind}) == set()
