"""The settings file as frozen, validated values. Unknown keys are errors; secrets are references, read where used."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from usage_etl.periods import Month

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Location = Annotated[str, StringConstraints(min_length=1)]
"""A folder (absolute, or relative to the settings file) or ``s3://bucket/prefix``."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretRef(_Settings):
    """Name of the environment variable that holds a secret; written ``{env: NAME}``. Never the secret itself."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]


class OrganizationSettings(_Settings):
    """Who the reports are about."""

    id: Slug
    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    currency: CurrencyCode = "USD"
    time_zone: str = "UTC"
    """Zone in which schedules run and clock times are shown. Days of facts are UTC days."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"unknown time zone {zone!r}; use an IANA name such as Europe/Berlin")
        return zone

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class S3Settings(_Settings):
    """How to reach S3. Credentials come from the usual AWS environment, profile or role, never from this file."""

    endpoint_url: str | None = None
    region: str = "us-east-1"


class LakeSettings(_Settings):
    """Where landed files and tables are stored."""

    location: Location = "lake"
    history_days: Annotated[int, Field(ge=0)] = 400
    """How long replaced versions are kept under ``_history``; 0 keeps none."""


class StateSettings(_Settings):
    """Database of the delivery index and the send ledger."""

    url: str | SecretRef = "sqlite:///state.sqlite"


class _SourceSettings(_Settings):
    name: Slug
    account: Annotated[str, StringConstraints(min_length=1, max_length=120)] = "default"
    start_date: dt.date | None = None
    """First day to fetch; the file's own start_date unless set."""
    trailing_days: Annotated[int, Field(ge=0, le=120)] = 7
    """Days before today that are fetched again on each pull, because providers restate."""
    minimum_share_pct: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(50)
    """A re-delivery with fewer rows than this share of the last good one is held, not loaded. 0 accepts anything."""


class TagMapping(_Settings):
    """How request tags of the form ``<prefix><value>`` fill columns."""

    feature: str = "feature:"
    investigation: str = "investigation:"
    keep: tuple[str, ...] = ("env:",)
    """Prefixes whose tags are kept in ``tag_set``."""


class LiteLLMSettings(_SourceSettings):
    """LiteLLM SpendLogs as JSON lines (``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst``) in a folder or bucket."""

    kind: Literal["litellm"]
    location: Location
    pattern: str = "**/*.jsonl*"
    tags: TagMapping = TagMapping()
    role: Literal["usage", "reconciliation"] = "usage"


class OpenAISettings(_SourceSettings):
    """OpenAI organization costs and completions usage: API pages, fetched or found in a folder or bucket."""

    kind: Literal["openai"]
    location: Location | None = None
    """Folder or bucket of saved pages; null fetches from the API."""
    pattern: str = "**/*.json*"
    api_key: SecretRef | None = None
    base_url: str = "https://api.openai.com"
    role: Literal["usage", "reconciliation"] = "reconciliation"


class AnthropicSettings(_SourceSettings):
    """Anthropic cost and messages usage reports: API pages, fetched or found in a folder or bucket."""

    kind: Literal["anthropic"]
    location: Location | None = None
    """Folder or bucket of saved pages; null fetches from the API."""
    pattern: str = "**/*.json*"
    api_key: SecretRef | None = None
    base_url: str = "https://api.anthropic.com"
    role: Literal["usage", "reconciliation"] = "reconciliation"


SourceSettings = Annotated[LiteLLMSettings | OpenAISettings | AnthropicSettings, Field(discriminator="kind")]


class PriceSettings(_Settings):
    """Where prices come from, the later layer winning: genai-prices, then the contract file."""

    contract_file: str | None = None
    """CSV of negotiated prices; columns in docs/reference/prices.md."""
    model_aliases: dict[str, str] = {}
    """``model as sent`` to ``provider/model`` of the price book, for deployments and fine-tunes."""


class ReconciliationSettings(_Settings):
    """How close priced usage must be to the bill."""

    tolerance_pct: Annotated[Decimal, Field(ge=0, le=100)] = Decimal("0.5")
    """Owners never pay more than this share above their metered usage; the rest is the unexplained line."""


class MailSettings(_Settings):
    """How mail leaves. ``files`` writes ``.eml`` files into the out location."""

    mode: Literal["files", "smtp"] = "files"
    sender: str = "AI usage reports <usage-etl@localhost>"
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: SecretRef | None = None
    attach_limit_mb: Annotated[int, Field(ge=0, le=25)] = 5


class ReportSettings(_Settings):
    """What goes out, where, to whom."""

    location: Location = "out"
    executive_recipients: tuple[str, ...] = ()
    chargeback_recipients: tuple[str, ...] = ()
    failure_recipients: tuple[str, ...] = ()
    page_size: Literal["A4", "Letter"] = "A4"
    templates: str | None = None
    """Folder whose templates replace the shipped ones, file by file."""
    dashboard_url: str | None = None
    """Stable address of the published reports, printed as a link; null prints none."""


class ScheduleSettings(_Settings):
    """Cron expressions in the organization's time zone."""

    daily: str = "30 6 * * *"
    trailing_days: Annotated[int, Field(ge=1, le=120)] = 7
    monthly_chargeback: str = "0 8 5 * *"
    executive: str = "0 7 * * 1"


class Settings(_Settings):
    """The whole file. Relative paths are relative to ``base_path``, the file's own folder."""

    version: Literal["1"]
    """Version of this file's format."""
    organization: OrganizationSettings
    start_date: dt.date
    """First day of the lake; a first of a month."""
    as_of_date: dt.date | None = None
    """Pretend that data ends here (demo, tests); null is the last complete UTC day."""
    lake: LakeSettings = LakeSettings()
    s3: S3Settings = S3Settings()
    state: StateSettings = StateSettings()
    directory: str = "directory"
    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)]
    prices: PriceSettings = PriceSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    mail: MailSettings = MailSettings()
    reports: ReportSettings = ReportSettings()
    schedules: ScheduleSettings = ScheduleSettings()
    keep_usage_events: bool = True
    """Store request-level rows. Facts do not need them; switch off where per-request records must not be kept."""
    base_path: Path = Field(default=Path(), exclude=True)

    @field_validator("start_date")
    @classmethod
    def _first_of_month(cls, day: dt.date) -> dt.date:
        if day.day != 1:
            raise ValueError("must be the first day of a month, for example 2026-08-01")
        return day

    @model_validator(mode="after")
    def _unique_sources(self) -> Self:
        names = [source.name for source in self.sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"sources: name(s) used twice: {', '.join(repeated)}")
        return self

    @property
    def first_month(self) -> Month:
        return Month.of(self.start_date)

    def resolve(self, location: str) -> str:
        """``location`` as an absolute path, or unchanged when it is an ``s3://`` address."""
        if location.startswith("s3://"):
            return location.rstrip("/")
        return str((self.base_path / location).resolve())
