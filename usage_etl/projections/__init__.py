"""Where a period will end: a projection with a measured band, the straight line beside it, and the chance of passing a limit.

Owns the forecasting method and how its uncertainty is measured. Reads daily sums only, never a day after the as-of day.
"""

from usage_etl.projections.accuracy import projection_accuracy
from usage_etl.projections.lateness import settled_dates, settled_series
from usage_etl.projections.limits import project_limits
from usage_etl.projections.month_end import project_month
from usage_etl.projections.scopes import scope_series
from usage_etl.projections.stock import runway

__all__ = [
    "project_limits",
    "project_month",
    "projection_accuracy",
    "runway",
    "scope_series",
    "settled_dates",
    "settled_series",
]
