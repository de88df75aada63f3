"""What usage costs: the dated price book, and the rating of usage by it.

Owns dim_price, the model catalog and the one multiplication of tokens by price. Owns no usage; of files it reads its own
bundled price data only.
"""

from __future__ import annotations

from usage_etl.pricing.book import price_book
from usage_etl.pricing.catalog import LOGGED_COLUMNS, ModelCatalog
from usage_etl.pricing.imports import parse_price_file, with_files
from usage_etl.pricing.lists import ListPrices
from usage_etl.pricing.rating import rate
from usage_etl.pricing.slots import DayPrices, day_prices
from usage_etl.pricing.source_costs import explain_source_costs, source_cost_summary, summed_source_costs

__all__ = [
    "LOGGED_COLUMNS",
    "DayPrices",
    "ListPrices",
    "ModelCatalog",
    "day_prices",
    "explain_source_costs",
    "parse_price_file",
    "price_book",
    "rate",
    "source_cost_summary",
    "summed_source_costs",
    "with_files",
]
