"""What the report APIs of providers share: their settings, and a fetch that reads saved pages or asks the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, Self

from pydantic import model_validator

from usage_etl.config import SecretRef, SourceSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import JsonApi, RetryPolicy
from usage_etl.sources.fetching.pulls import Endpoint, pull
from usage_etl.sources.source import FetchContext, fetch_folder


class ReportApiSettings(SourceSettings):
    """A provider's report API: asked with a key, or read from pages and downloads that were saved."""

    pattern: str = "**/*.[jct]s*"
    """Which files below ``location`` are read: saved pages (.json, .jsonl) and downloads (.csv, .tsv), also compressed."""
    api_key: SecretRef | None = None
    """Admin key of the API; needed when ``location`` is null."""
    base_url: str
    """Address of the API, for a proxy in front of it."""
    role: Literal["usage", "reconciliation"] = "reconciliation"
    """What its usage report is for; its costs are the bill in either case. usage: counted. reconciliation: compared only."""

    @property
    def origin(self) -> str:
        """The folder or bucket of saved pages, or the API's address."""
        return self.location or self.base_url

    @model_validator(mode="after")
    def _key_or_location(self) -> Self:
        if self.location is None and self.api_key is None:
            raise ValueError("needs location (saved pages) or api_key (fetched from the API)")
        return self


def fetch_reports(
    settings: ReportApiSettings,
    context: FetchContext,
    *,
    headers: Callable[[str], Mapping[str, str]],
    advice: Mapping[int, str],
    endpoints: Callable[[JsonApi], Iterable[Endpoint]],
    policy: RetryPolicy,
) -> Iterator[FetchedObject]:
    """Saved pages of the folder, or answers of the API that changed since they were last landed.

    ``headers`` makes the request headers from the key; ``endpoints`` says what to ask, if need be by asking the API.
    Raises SourceError, or TransientSourceError after retries.
    """
    if settings.location is not None:
        yield from fetch_folder(settings, context)
        return
    assert settings.api_key is not None, "the settings demand a location or an api_key"
    api_key = context.read_secret(settings.api_key)
    with JsonApi(
        source=settings.name,
        base_url=settings.base_url,
        headers=headers(api_key),
        secret=api_key,
        advice=advice,
        policy=policy,
    ) as api:
        yield from pull(
            api,
            endpoints(api),
            source=settings.name,
            known=context.known,
            start_date=settings.start_date or context.start_date,
            trailing_days=settings.trailing_days,
            today=context.today,
            pulled_at=context.pulled_at,
        )
