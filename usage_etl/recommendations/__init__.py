"""Recommendations from the organization's own traffic, and what became of them.

Owns mart_recommendations and mart_recommendation_verdicts. Owns no prices: what a row would have cost otherwise is asked as
a frame of rows and answered outside, by the very prices of usage.
"""

from __future__ import annotations

from usage_etl.recommendations.charges import capacity_advice, seat_advice
from usage_etl.recommendations.recommend import Inquiry, Window, inquire, recommend
from usage_etl.recommendations.traffic import traffic_rows
from usage_etl.recommendations.verdicts import asked_of, charges_measured, checks, measured, month_rows, verdicts

__all__ = [
    "Inquiry",
    "Window",
    "asked_of",
    "capacity_advice",
    "charges_measured",
    "checks",
    "inquire",
    "measured",
    "month_rows",
    "recommend",
    "seat_advice",
    "traffic_rows",
    "verdicts",
]
