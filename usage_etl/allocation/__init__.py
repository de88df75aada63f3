"""Who pays: bills tied out against priced usage, and divided among owners to the last minor unit.

Owns the rules of division and their rounding. Does not price usage (``pricing``).
"""

from usage_etl.allocation.allocate import allocate_month
from usage_etl.allocation.journal import journal_month
from usage_etl.allocation.owners import OwnerDirectories
from usage_etl.allocation.reconciliation import reconcile_month

__all__ = ["OwnerDirectories", "allocate_month", "journal_month", "reconcile_month"]
