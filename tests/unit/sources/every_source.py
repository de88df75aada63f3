"""Every kind of source with settings as its own page shows them, and the examples recorded of it."""

import re
from pathlib import Path

import yaml

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.run_files import aws_run, azure_run, gzipped
from usage_etl.config import SourceSettings
from usage_etl.sources.registry import SOURCES

ROOT = Path(__file__).parents[3]


def documented_settings(kind: str) -> list[SourceSettings]:
    """The settings of each example on the source's page. Raises ValidationError where the page shows what is not accepted."""
    page = (ROOT / "docs" / "sources" / f"{kind}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    documents = [yaml.safe_load(block) for block in blocks]
    entries = [entry for document in documents if isinstance(document, dict) for entry in document.get("sources", ())]
    return [SOURCES[kind].settings.model_validate(entry) for entry in entries if entry["kind"] == kind]


def recorded(kind: str) -> list[Path]:
    """Recorded examples of a kind, without notes."""
    folder = ROOT / "tests" / "recorded" / kind
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md")


def recorded_deliveries(kind: str, folder: Path) -> list[Path]:
    """The recorded examples as they are landed: files as they are, files of a cloud's export as the bundle of a run."""
    write_run = {"azure_cost": azure_run, "aws_data_exports": aws_run}.get(kind)
    if write_run is None:
        return recorded(kind)
    name = {"azure_cost": "actual_cost_ea.csv", "aws_data_exports": "cur_2_0.csv"}[kind]
    content = (ROOT / "tests" / "recorded" / kind / name).read_bytes()
    write_run(folder / "export", gzipped(content) if kind == "aws_data_exports" else content)
    settings = documented_settings(kind)[0].model_copy(update={"location": str(folder / "export"), "exports": ()})
    landed = []
    for number, item in enumerate(SOURCES[kind].fetch(settings, fetch_context())):
        item.save(path := folder / f"delivery-{number}")
        landed.append(path)
    return landed
