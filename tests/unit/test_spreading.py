"""How the tests are spread over processes."""

import re
from pathlib import Path

import pytest

from tests.spreading import TOGETHER, scope

TESTS = Path(__file__).parents[1]
READERS = {
    "northwind": ("acceptance", r"northwind(_copy)?"),
    "tidewater": ("acceptance", "stage"),
    "demo": ("assets", "demo"),
    "story": ("assets", "story"),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_all_files_that_read_a_costly_installation_stay_together(name):
    folder, fixture = READERS[name]
    asks = re.compile(rf"^def \w+\([^)]*\b{fixture}\b[,:)]", re.MULTILINE)
    files = {path for path in (TESTS / folder).glob("test_*.py") if asks.search(path.read_text(encoding="utf-8"))}
    assert files
    assert {scope(f"tests/{folder}/{path.name}::test_it") for path in files} == {name}


def test_any_other_file_is_a_scope_of_its_own():
    assert scope("tests/unit/test_money.py::test_it[tests/assets/test_as_of]") == "tests/unit/test_money.py"
