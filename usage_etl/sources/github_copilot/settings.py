"""Settings of the github_copilot source."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from usage_etl.config import FolderSourceSettings


class GitHubCopilotSettings(FolderSourceSettings):
    """GitHub's billing reports and lists of Copilot seats, in a folder or bucket."""

    kind: Literal["github_copilot"]
    """Which reader."""
    pattern: str = "**/*.[cj]s[vo]*"
    """Which files below ``location`` are read: ``.csv``, ``.json`` and their like, also compressed."""
    products: tuple[str, ...] = ("copilot*", "*models*", "spark*")
    """Products whose lines are AI; ``*`` stands for any text, ``all`` takes every product."""
    seat_price: Annotated[Decimal, Field(ge=0)] | None = None
    """Price of one seat for a month in US dollars, to bill lists of seats by. Set it only where no metered report, which
    states what seats really cost, is delivered; null leaves lists of seats out."""
