"""The prose keeps its word: links lead somewhere, and commands, schedules, sensors, checks and columns it names exist."""

import re
from pathlib import Path

import dagster as dg
import pytest
import typer

from assets.assembly import build_definitions
from usage_etl.cli.main import app
from usage_etl.schemas import TABLES
from usage_etl.schemas.chargeback import CHARGE_KINDS, LINE_KINDS
from usage_etl.schemas.tie_out import RESIDUAL_CAUSES, TIE_OUT_STATUSES
from usage_etl.schemas.usage import PRICE_STATUSES
from usage_etl.sources.litellm.spend_logs import FIELDS
from usage_etl.sources.registry import SOURCES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("#")}


def links(page: Path) -> list[tuple[str, str]]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [(path, anchor) for path, anchor in LINK.findall(text) if "://" not in path]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(ROOT / "examples" / "one_gateway" / "usage_etl.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(path)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = getattr(typer.main.get_command(app), "commands", {})
    named = set(re.findall(r"(?:^|`)usage-etl ([a-z]+)(?: ([a-z][a-z-]*))?", text, flags=re.MULTILINE))
    assert {command for command, _ in named} <= set(commands)
    in_groups = {(command, word) for command, word in named if word and hasattr(commands[command], "commands")}
    assert {(command, word) for command, word in in_groups if word not in commands[command].commands} == set()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets


def test_operations_names_every_schedule_and_sensor(definitions: dg.Definitions) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    what_runs = text.partition("## What runs when")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z_]+)` \|", what_runs, flags=re.MULTILINE))
    repository = definitions.get_repository_def()
    assert named == {item.name for item in [*repository.schedule_defs, *repository.sensor_defs]}


def test_promises_names_checks_that_exist(definitions: dg.Definitions) -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    for name in ("records_accounted_for", "rows_conserved", "every_dimension_adds_up", "equals_the_bill"):
        assert name in checks
        assert f"`{name}`" in text


def test_architecture_explains_every_cause_of_a_difference() -> None:
    for page in ("architecture.md", "tie_out.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert [cause for cause in RESIDUAL_CAUSES if f"| `{cause}` |" not in text] == []


def test_the_tie_out_page_has_an_example_of_every_cause_and_every_verdict() -> None:
    text = (ROOT / "docs" / "tie_out.md").read_text(encoding="utf-8")
    sections = dict(zip(*[iter(re.split(r"^### (\w+)$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert sections.keys() == set(RESIDUAL_CAUSES)
    assert [cause for cause, section in sections.items() if "*Example: " not in section] == []
    assert [status for status in TIE_OUT_STATUSES if f"| `{status}` |" not in text] == []


def test_the_allocation_explains_every_kind_of_charge() -> None:
    text = (ROOT / "docs" / "reference" / "allocation.md").read_text(encoding="utf-8")
    assert [kind for kind in CHARGE_KINDS if f"`{kind}`" not in text] == []


def test_prices_explains_every_price_status() -> None:
    text = (ROOT / "docs" / "reference" / "prices.md").read_text(encoding="utf-8")
    assert [status for status in PRICE_STATUSES if f"`{status}`" not in text] == []


def test_the_glossary_knows_every_kind_of_chargeback_line() -> None:
    words = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    assert [kind for kind in LINE_KINDS if kind not in words] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "sources").glob("*.md")), ids=lambda page: page.stem)
def test_sources_name_columns_that_exist(page: Path) -> None:
    """The column "becomes" of the field tables names columns of ours; the others name the provider's fields."""
    columns = {name for table in TABLES for name in table.columns} | {"input_tokens"}
    rows = [line.split("|")[1:-1] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    becomes = [cell.strip() for cell in rows[0]].index("becomes")
    named = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row[becomes])}
    assert named
    assert named - columns == set()


def test_the_readme_counts_the_kinds_of_sources() -> None:
    assert f"[{len(SOURCES)} kinds of sources](#what-it-reads)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_litellm_lists_every_field_that_is_read() -> None:
    text = (ROOT / "docs" / "sources" / "litellm.md").read_text(encoding="utf-8")
    summed_up = {"usage_object", "additional_usage_values"}
    missing = [path for path in FIELDS.values() if not summed_up & set(path) and not re.search(rf"`[a-z_.]*{path[-1]}`", text)]
    assert missing == []
