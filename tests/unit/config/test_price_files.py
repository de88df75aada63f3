"""Which files of an installation are accepted price files."""

from __future__ import annotations

from pathlib import Path

import pytest

from usage_etl.config import load_settings
from usage_etl.config.price_files import accepted_files
from usage_etl.sources.registry import SOURCE_KINDS

SETTINGS = """
version: 1
organization: {id: northwind, name: Northwind}
start_date: 2026-08-01
sources: [{kind: litellm, name: gateway, location: logs}]
"""


@pytest.mark.parametrize(
    ("prices", "accepted"),
    [
        ("{contract_file: prices/contract.csv, surcharges_file: ./prices/../prices/surcharges.csv}", ["20261101-list.csv"]),
        ("{contract_file: prices/contract.csv}", ["surcharges.csv", "20261101-list.csv"]),
        ("{folder: elsewhere}", []),
    ],
)
def test_the_contract_and_the_surcharges_are_no_accepted_files(tmp_path: Path, prices: str, accepted: list[str]) -> None:
    (tmp_path / "usage_etl.yaml").write_text(f"{SETTINGS}prices: {prices}\n", encoding="utf-8")
    (tmp_path / "prices").mkdir()
    for name in ("contract.csv", "surcharges.csv", "20261101-list.csv", "notes.txt"):
        (tmp_path / "prices" / name).write_text(name, encoding="utf-8")

    found = accepted_files(load_settings(tmp_path / "usage_etl.yaml", kinds=SOURCE_KINDS))

    assert list(found) == accepted
    assert all(content == name.encode() for name, content in found.items())
