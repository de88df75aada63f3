"""Who pays: bills tied out against priced usage, and divided among owners to the last minor unit.

Owns the rules of division and their rounding. Does not price usage (``pricing``).
"""

from usage_etl.allocation.allocate import allocate_month
from usage_etl.allocation.gates import failed_gates
from usage_etl.allocation.journal import journal_month
from usage_etl.allocation.owners import OwnerDirectories
from usage_etl.allocation.tie_out import tie_out_month
from usage_etl.allocation.tie_out_invoices import invoice_tie_out

__all__ = ["OwnerDirectories", "allocate_month", "failed_gates", "invoice_tie_out", "journal_month", "tie_out_month"]
