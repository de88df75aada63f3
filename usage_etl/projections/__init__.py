"""Where the month will end: a projection with a measured band, and the budget beside it.

Owns the forecasting method and how its uncertainty is measured. Reads daily sums only, never a day after the as-of day.
"""

from usage_etl.projections.month_end import project_month

__all__ = ["project_month"]
