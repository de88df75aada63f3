"""The price commands as a person meets them: text, JSON, and a price file that changes nothing before it is accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.unit.pricing.test_reprice import BOOK, daily
from usage_etl.cli.main import app
from usage_etl.errors import PriceBookError
from usage_etl.lake import WHOLE, TableStore, open_store
from usage_etl.pricing import ListPrices
from usage_etl.schemas import DIM_PRICE, FACT_USAGE_DAILY

SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme}
start_date: 2026-10-01
as_of_date: 2026-12-10
sources:
  - {kind: litellm, name: gateway, location: logs}
"""
CSV = "provider,model_id,valid_from,currency,input_uncached_per_mtok\nopenai,gpt-5.2,2026-11-01,USD,1\n"


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """Settings file of a lake that holds one day of usage: two requests of gpt-5.2 and one that nobody prices."""
    (tmp_path / "usage_etl.yaml").write_text(SETTINGS, encoding="utf-8")
    lake = TableStore(open_store(str(tmp_path / "lake")))
    lake.commit(DIM_PRICE, WHOLE, BOOK)
    facts = daily(BOOK, {"reported_output_tokens": 0}, {"reported_output_tokens": 0}, {"model_raw": "nobody"})
    lake.commit(FACT_USAGE_DAILY, "2026-11-02", facts)
    return tmp_path / "usage_etl.yaml"


def run(*arguments: str, config: Path | None = None) -> Result:
    where = ["--config", str(config or "there-is-none.yaml")]
    return CliRunner().invoke(app, ["prices", *arguments, *where], catch_exceptions=False)


def test_diff_names_the_lists_and_their_differences() -> None:
    result = run("diff", "--provider", "openai", "--at", "2026-11-05")
    assert result.exit_code == 0
    strong, weak = (one.title for one in ListPrices.bundled().lists)
    assert f"{strong} is used; {weak} fills its gaps" in result.stdout
    assert "gpt-4o-audio-preview" in result.stdout


def test_diff_writes_each_note_once_and_refers_to_it() -> None:
    lines = run("diff").stdout.splitlines()
    legend = dict(re.fullmatch(r"(\[\d+\]) (.+)", line).groups() for line in lines if line.startswith("["))
    notes = {part for row in json.loads(run("diff", "--json").stdout)["differences"] for part in (row["note"] or "").split("; ")}
    referred = {mark for line in lines if not line.startswith("[") for mark in re.findall(r"\[\d+\]", line)}

    assert sorted(legend.values()) == sorted(notes - {""})
    assert referred == set(legend)


def test_diff_as_json_can_be_filtered() -> None:
    document = json.loads(run("diff", "--min-pct", "100", "--at", "2026-11-05", "--json").stdout)
    shares = [float(row["difference_pct"]) for row in document["differences"] if row["difference_pct"]]
    assert shares
    assert min(map(abs, shares)) >= 100
    assert {row["provider"] for row in document["coverage"]} > {"openai", "aws"}


def test_explain_shows_the_arithmetic() -> None:
    tokens = ("--input", "1000", "--cached", "400", "--output", "100")
    result = run("explain", "claude-opus-4-6", "--provider", "anthropic", "--region", "us", "--at", "2026-11-05", *tokens)
    assert "cache_read_tokens      400  x  0.55  / 1,000,000  =  0.00022" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("=  0.00627")


def test_explain_as_json_keeps_every_digit_as_text() -> None:
    tokens = ("--input", "7", "--output", "0")
    document = json.loads(run("explain", "gpt-5.2", "--at", "2026-11-05T10:30", *tokens, "--json").stdout)
    assert (document["cost"], document["price_status"]) == ("0.00001225", "priced")
    assert document["terms"] == [
        {"what": "input_uncached_tokens", "quantity": "7", "rate": "1.75", "per": 1_000_000, "amount": "0.00001225"}
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--input", "10", "--cached", "11"), ("--output", "1", "--reasoning", "2"), ("--processing", "turbo"),
        ("--unit", "seconds", "--quantity", "x"), ("--input", "-1"),
    ],
)  # fmt: skip
def test_impossible_requests_are_refused(arguments: tuple[str, ...]) -> None:
    assert run("explain", "gpt-5.2", *arguments).exit_code == 2


def test_an_import_shows_its_effect_and_changes_nothing(installation: Path, tmp_path: Path) -> None:
    file = tmp_path / "agreed.csv"
    file.write_text(CSV, encoding="utf-8")
    result = run("import", str(file), config=installation)
    assert result.exit_code == 0
    assert "manual: 1 model(s)" in result.stdout
    assert "2026-11 priced anew, 1 of 2 model(s) change" in result.stdout
    assert "0.0035" in result.stdout
    assert "nothing was changed" in result.stdout
    assert not (tmp_path / "prices").exists()


def test_an_accepted_file_is_in_force_and_cannot_be_taken_in_twice(installation: Path, tmp_path: Path) -> None:
    file = tmp_path / "Agreed Prices.CSV"
    file.write_text(CSV, encoding="utf-8")
    document = json.loads(run("import", str(file), "--accept", "--json", config=installation).stdout)
    assert [Path(document["written_to"])] == list((tmp_path / "prices").iterdir())
    effect = {row["model_id"]: row for row in document["effect"]}
    assert (effect["gpt-5.2"]["before_cost"], effect["gpt-5.2"]["after_cost"]) == ("0.0035", "0.002")
    explained = json.loads(run("explain", "gpt-5.2", "--at", "2026-11-05", "--json", config=installation).stdout)
    assert explained["price"]["price_source"] == "manual"
    with pytest.raises(PriceBookError, match="taken in before"):
        run("import", str(file), config=installation)


def test_a_month_without_facts_says_so_by_zero_models(installation: Path, tmp_path: Path) -> None:
    file = tmp_path / "agreed.csv"
    file.write_text(CSV, encoding="utf-8")
    result = run("import", str(file), "--month", "2026-10", config=installation)
    assert "2026-10 priced anew, 0 of 0 model(s) change" in result.stdout
    assert run("import", str(file), "--month", "October", config=installation).exit_code == 2


def test_a_faulty_file_is_refused_before_anything_is_looked_at(installation: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(CSV + "openai,gpt-5.2,2026-11-01,USD,2\nopenai,gpt-5.1,soon,USD,2\n", encoding="utf-8")
    with pytest.raises(PriceBookError, match=r"bad.csv: line 3: .* overlaps .*; line 4: Invalid isoformat|line 4: .*line 3"):
        run("import", str(file), "--accept", config=installation)
    assert not (tmp_path / "prices").exists()
