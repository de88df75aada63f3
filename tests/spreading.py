"""How pytest-xdist spreads the tests: a file stays in one worker, and so do files that read one costly installation."""

from typing import Any

import pytest

TOGETHER = {
    "northwind": ("acceptance/test_demo_", "acceptance/test_outputs_agree", "acceptance/test_rerun"),
    "tidewater": ("acceptance/test_three_months",),
    "demo": ("assets/test_checks", "assets/test_ranges"),
    "story": ("assets/test_as_of", "assets/test_differences", "assets/test_explain"),
}
"""Installation that a session fixture builds to the beginnings of the files below ``tests/`` whose tests read it."""


def scope(nodeid: str) -> str:
    """What one worker runs whole: an installation with its files, or a file."""
    file = nodeid.partition("::")[0]
    path = file.removeprefix("tests/")
    return next((name for name, beginnings in TOGETHER.items() if path.startswith(beginnings)), file)


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands scopes out in the order of collection, which begins with what takes longest."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - one process does without pytest-xdist

    class FilesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return FilesTogether(config, log)
