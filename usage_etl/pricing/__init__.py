"""What a token costs: the dated price book, and the rating of usage by it.

Owns dim_price, the model catalog and the one multiplication of tokens by price. Owns no usage and reads no files.
"""

from __future__ import annotations

from usage_etl.pricing.book import ListPrices, price_book
from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.pricing.rating import DayPrices, day_prices, rate
from usage_etl.pricing.source_costs import explain_source_costs, source_cost_summary

__all__ = [
    "DayPrices",
    "ListPrices",
    "ModelCatalog",
    "day_prices",
    "explain_source_costs",
    "price_book",
    "rate",
    "source_cost_summary",
]
