"""Every example loads: settings, directories and prices, without a single fault."""

import json
from pathlib import Path

import pytest

from usage_etl.config import load_settings
from usage_etl.config.contract_files import read_contract
from usage_etl.config.directory import read_directories
from usage_etl.pricing import ListPrices, ModelCatalog, price_book
from usage_etl.sources.registry import SOURCE_KINDS

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def test_the_readme_lists_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"[{name}]({name})" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_settings_directories_and_prices_load(name: str) -> None:
    settings = load_settings(EXAMPLES / name / "usage_etl.yaml", kinds=SOURCE_KINDS)
    read_directories(Path(settings.resolve(settings.directory)))
    file = settings.prices.contract_file
    contract = read_contract(Path(settings.resolve(file)) if file else None)
    book = price_book(ListPrices.bundled(), contract)
    assert (book["price_source"] == "contract").sum() >= contract.height
    for alias in settings.prices.model_aliases.values():
        provider, _, model_id = alias.partition("/")
        assert not book.filter(provider=provider, model_id=model_id).is_empty(), alias


def test_every_model_of_the_small_example_has_a_price() -> None:
    catalog = ModelCatalog()
    lines = [
        json.loads(line)
        for file in (EXAMPLES / "one_gateway" / "landing" / "litellm").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) == 24
    assert all(catalog.find(line["custom_llm_provider"], line["model"])[3] for line in lines)
