"""Settings of the cursor source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings


class CursorSettings(FolderSourceSettings):
    """Cursor's usage events as CSV in a folder or bucket."""

    kind: Literal["cursor"]
    """Which reader."""
    pattern: str = "**/*.csv*"
    """Which files below ``location`` are read."""
    billed_kinds: tuple[str, ...] = ("On-Demand*", "On Demand*", "Usage-Based*", "Usage Based*")
    """Kinds of events whose cost is billed; ``*`` stands for any text."""
    not_billed_kinds: tuple[str, ...] = ("Included*", "Free*", "User API Key*", "Errored*", "Aborted*")
    """Kinds of events that are not billed: a cost beside them is only what the call was worth. An event of a kind in neither
    list is refused where it states a cost."""
