"""How pytest-xdist spreads the tests: a file stays in one worker, and so do files that read one costly installation."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
INSTALLATIONS = {
    "tests/acceptance": {"northwind": r"northwind(?:_copy)?", "tidewater": "stage"},
    "tests/assets": {"demo": "demo", "story": "story"},
}
"""Folder to the installations that its session fixtures build at length, and which fixtures their tests ask for."""


@cache
def scope(file: str) -> str:
    """What one worker runs whole: an installation with all files of its folder whose tests read it, or this file."""
    folder = file.rpartition("/")[0]
    for name, fixture in INSTALLATIONS.get(folder, {}).items():
        asks = rf"^def \w+\([^)]*\b{fixture}\b *[,:)]"
        if re.search(asks, (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE):
            return f"{folder}:{name}"
    return file


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands scopes out in the order of collection, which begins with what takes longest."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - one process does without pytest-xdist

    class FilesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid.partition("::")[0])

    return FilesTogether(config, log)
