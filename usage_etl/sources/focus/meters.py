"""Which model and token class a FOCUS line meters, where a maintained table knows its provider's names."""

from __future__ import annotations

from usage_etl.sources.focus_columns import PROVIDER_IDS
from usage_etl.sources.google_meters import read_google_sku
from usage_etl.sources.meters import NOT_USAGE, UNMAPPED, Meter

METER_FIELDS = ("ChargeCategory", "provider", "SkuMeter", "ChargeDescription")


def read_meter(category: str | None, provider: str | None, sku_meter: str | None, description: str | None) -> Meter:
    """The meter of a line. Only usage meters a model; a provider without a table is unmapped."""
    if (category or "").lower() != "usage":
        return NOT_USAGE
    if PROVIDER_IDS.get((provider or "").lower()) != "google":
        return UNMAPPED
    readings = (read_google_sku(text).meter for text in (sku_meter, description))
    return next((meter for meter in readings if meter != UNMAPPED), UNMAPPED)
