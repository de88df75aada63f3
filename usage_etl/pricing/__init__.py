"""What a token costs: the dated price book, and the rating of usage by it.

Owns dim_price, the model catalog and the one multiplication of tokens by price. Owns no usage and reads no files.
"""

from __future__ import annotations

from usage_etl.pricing.book import ListPrices, price_book
from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.pricing.rating import DayPrices, day_prices, rate

__all__ = ["DayPrices", "ListPrices", "ModelCatalog", "day_prices", "price_book", "rate"]
