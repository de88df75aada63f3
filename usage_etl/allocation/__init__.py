"""Who pays: bills tied out against priced usage, and split among owners to the last minor unit.

Owns the split rules and their rounding. Does not price usage (``pricing``) and does not decide when a month is closed.
"""

from usage_etl.allocation.chargeback import chargeback_month
from usage_etl.allocation.reconciliation import reconcile_month

__all__ = ["chargeback_month", "reconcile_month"]
