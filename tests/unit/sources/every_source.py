"""Every kind of source with settings as its own page shows them, and the examples recorded of it."""

import re
from pathlib import Path

import yaml

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
