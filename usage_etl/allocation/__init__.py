"""Who pays: bills tied out against priced usage, and split among owners to the last minor unit.

Owns the split rules and their rounding. Does not price usage (``pricing``) and does not decide when a month is closed.
"""

from usage_etl.allocation.chargeback import chargeback_month
from usage_etl.allocation.gates import failed_gates
from usage_etl.allocation.tie_out import tie_out_month
from usage_etl.allocation.tie_out_invoices import invoice_tie_out

__all__ = ["chargeback_month", "failed_gates", "invoice_tie_out", "tie_out_month"]
