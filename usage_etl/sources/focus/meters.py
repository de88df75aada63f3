"""Which model and token class a FOCUS line meters, where a maintained table knows its provider's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from usage_etl.sources.rows.aws_meters import read_meter as read_aws_meter
from usage_etl.sources.rows.azure_meters import read_meter as read_azure_meter
from usage_etl.sources.rows.focus_columns import PROVIDER_IDS
from usage_etl.sources.rows.google_meters import read_google_sku
from usage_etl.sources.rows.meters import NOT_USAGE, UNMAPPED, Meter

METER_NAMES: Mapping[str, tuple[str, ...]] = {
    name: (name,) for name in ("x_UsageType", "x_SkuMeterSubcategory", "x_SkuDescription")
}
"""Providers' own columns that say what a meter counts."""

METER_FIELDS = ("ChargeCategory", "provider", "SkuMeter", "ChargeDescription", "ServiceName", *METER_NAMES)

_READERS: Mapping[str, Callable[[Mapping[str, str | None], str], Meter]] = {
    "aws": lambda line, text: read_aws_meter("usage", text, line["ServiceName"]),
    "azure": lambda line, text: read_azure_meter("usage", text, line["x_SkuMeterSubcategory"]),
    "google": lambda _, text: read_google_sku(text).meter,
}
_TEXTS = ("x_UsageType", "SkuMeter", "ChargeDescription", "x_SkuDescription")
"""Where the meter's name may stand, the plainest first."""


def read_meter(*texts: str | None) -> Meter:
    """The meter of a line from the texts of ``METER_FIELDS``. Only usage meters a model; what no table knows is unmapped."""
    line = dict(zip(METER_FIELDS, texts, strict=True))
    if (line["ChargeCategory"] or "").lower() != "usage":
        return NOT_USAGE
    provider = (line["provider"] or "").lower()
    reader = _READERS.get(PROVIDER_IDS.get(provider, provider))
    if reader is None:
        return UNMAPPED
    readings = [reader(line, text) for name in _TEXTS if (text := line[name])]
    return next((meter for meter in readings if meter.meter_mapping == "mapped"), readings[0] if readings else UNMAPPED)
