"""What a fetch is given in tests."""

import datetime as dt
from collections.abc import Collection

from usage_etl.lake import open_store
from usage_etl.sources.source import FetchContext


def fetch_context(
    secret: str = "",
    *,
    start_date: dt.date = dt.date(2026, 9, 1),
    known: Collection[tuple[str, str]] = (),
    pulled_at: dt.datetime = dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC),
) -> FetchContext:
    """Every secret is ``secret``; stores are opened as the product opens them."""
    return FetchContext(
        start_date=start_date,
        known=known,
        pulled_at=pulled_at,
        read_secret=lambda _: secret,
        open_store=lambda location: open_store(location, endpoint_url=None, region="us-east-1", must_exist=True),
    )
