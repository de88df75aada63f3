"""How the tests are spread over processes."""

import pytest

from tests.spreading import INSTALLATIONS, ROOT, scope


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (("test_demo_truth", "test_demo_finance", "test_outputs_agree", "test_rerun"), "tests/acceptance:northwind"),
        (("test_three_months", "test_three_months_papers"), "tests/acceptance:tidewater"),
        (("test_checks", "test_ranges"), "tests/assets:demo"),
        (("test_as_of", "test_differences", "test_explain"), "tests/assets:story"),
    ],
)
def test_files_that_read_one_costly_installation_stay_together(files, name):
    folder = name.partition(":")[0]
    assert {scope(f"{folder}/{file}.py") for file in files} == {name}


@pytest.mark.parametrize("file", ["tests/unit/test_money.py", "tests/acceptance/test_cli.py", "tests/assets/test_closing.py"])
def test_any_other_file_is_a_scope_of_its_own(file):
    assert scope(file) == file


@pytest.mark.parametrize("folder", INSTALLATIONS)
def test_installations_are_fixtures_of_their_folder(folder):
    text = (ROOT / folder / "conftest.py").read_text(encoding="utf-8")
    assert all(f"def {fixture.partition('(')[0]}(" in text for fixture in INSTALLATIONS[folder].values())
