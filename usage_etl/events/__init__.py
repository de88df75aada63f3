"""From what a source said to what happened: token classes, duplicates and owners.

Owns the one correction of token counting, the choice among copies of an event, and the as-of lookup of owners. Owns no
prices and no sums; reads staged rows and directories only.
"""

from __future__ import annotations

from usage_etl.events.dedupe import delivery_counts, loser_rows, without_losers
from usage_etl.events.normalise import normalise
from usage_etl.events.ownership import Directories, own

__all__ = ["Directories", "delivery_counts", "loser_rows", "normalise", "own", "without_losers"]
