"""A seeded, realistic organisation written as files in the providers' own formats. The pipeline knows nothing of it."""

from __future__ import annotations

from usage_etl.demo.summary import Billing, DemoSummary, Runaway, Usage, WrittenFiles
from usage_etl.demo.write import DEFAULT_AS_OF, DEFAULT_DAYS, DEFAULT_SEED, write_demo

__all__ = [
    "DEFAULT_AS_OF",
    "DEFAULT_DAYS",
    "DEFAULT_SEED",
    "Billing",
    "DemoSummary",
    "Runaway",
    "Usage",
    "WrittenFiles",
    "write_demo",
]
