"""The settings file as frozen, validated values. Unknown keys are errors; secrets are references, read where used.

The kinds of sources are not known here: each brings its own settings, and whoever loads the file names them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union

from pydantic import (
    Field,
    StringConstraints,
    create_model,
    field_validator,
    model_validator,
)

from usage_etl.config.alerts import AlertSettings
from usage_etl.config.anomalies import AnomalySettings
from usage_etl.config.base import CurrencyCode, Location, SecretRef, SettingsPart, Slug, ZoneName
from usage_etl.config.channels import ChannelList
from usage_etl.config.finance import AllocationSettings, CloseSettings, JournalSettings, ReconciliationSettings
from usage_etl.config.people import PeopleSettings
from usage_etl.config.quotas import QuotaSettings
from usage_etl.config.recommendations import RecommendationSettings


class OrganizationSettings(SettingsPart):
    """Who the reports are about."""

    id: Slug
    """Short name in file names and keys: small letters, digits, ``-`` and ``_``."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    """Name as printed on reports."""
    currency: CurrencyCode = "USD"
    """Currency of reports and budgets, three capitals (ISO 4217)."""
    time_zone: ZoneName = "UTC"
    """Zone in which schedules run and clock times are shown. Days of facts are UTC days."""


class S3Settings(SettingsPart):
    """How to reach S3. Credentials come from the usual AWS environment, profile or role, never from this file."""

    endpoint_url: str | None = None
    """Address of an S3-compatible store; null is AWS."""
    region: str = "us-east-1"
    """Region that requests are signed for."""


class LakeSettings(SettingsPart):
    """Where landed files and tables are stored."""

    location: Location = "lake"
    """Folder or ``s3://bucket/prefix`` of landed files and tables."""
    history_days: Annotated[int, Field(ge=0)] = 400
    """How long replaced versions are kept under ``_history``; 0 keeps none."""


class StateSettings(SettingsPart):
    """Database of the delivery index and the send ledger."""

    url: str | SecretRef = "sqlite:///state.sqlite"
    """SQLAlchemy address, or a reference to a variable that holds one. A relative SQLite file is relative to this file."""


class TagMapping(SettingsPart):
    """How request tags of the form ``<prefix><value>`` fill columns."""

    feature: str = "feature:"
    """Prefix of the tag whose rest is the ``feature_id``."""
    investigation: str = "investigation:"
    """Prefix of the tag whose rest is the ``investigation_id``."""
    keep: tuple[str, ...] = ("env:",)
    """Prefixes whose tags are kept in ``tag_set``."""


class SourceSettings(SettingsPart):
    """What every source is configured by. Each kind of source adds its own keys in ``usage_etl/sources/<kind>``."""

    kind: str
    """Which reader."""
    name: Slug
    """The source's own name, unique in this file: small letters, digits, ``-`` and ``_``. It is part of stored keys: keep it."""
    account: Annotated[str, StringConstraints(min_length=1, max_length=120)] = "default"
    """Account, organization or gateway instance that the data is about."""
    location: Location | None = None
    """Folder or bucket in which the files arrive."""
    pattern: str = "**/*"
    """Which files below ``location`` are read. ``{date}`` (2026-11-02), ``{yyyy}``, ``{mm}`` and ``{dd}`` stand for UTC days:
    where they come before the first ``*``, only the days from ``trailing_days`` before the newest landed one are listed."""
    role: Literal["usage", "reconciliation"] = "usage"
    """usage: its requests are the ones counted. reconciliation: they are compared with what was counted, never added."""
    start_date: dt.date | None = None
    """First day to fetch; the file's own start_date unless set."""
    trailing_days: Annotated[int, Field(ge=0, le=120)] = 7
    """Days before today that are fetched again on each pull, because providers restate."""
    expected_hours: Annotated[int, Field(ge=1)] = 48
    """A source without a new delivery for this long is shown as late."""
    minimum_share_pct: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(50)
    """A re-delivery with fewer rows than this share of the last good one is held, not loaded. 0 accepts anything."""

    @property
    def origin(self) -> str:
        """Where the data comes from, for people: a folder or bucket, or the server that is asked."""
        return self.location or f"{self.kind} server"


class FolderSourceSettings(SourceSettings):
    """A source whose files arrive in a folder or bucket."""

    location: Location
    """Folder or bucket in which the files arrive."""
    bundle: Literal["none", "folder", "auto"] = "none"
    """Whether new objects of up to 1 MiB of one folder are landed together, as one delivery. none: each on its own. folder:
    together. auto: together where a folder holds a thousand and more, as logs of one object per request do."""


class LogSourceSettings(FolderSourceSettings):
    """A request log whose records may carry tags."""

    bundle: Literal["none", "folder", "auto"] = "auto"
    """Whether new objects of up to 1 MiB of one folder are landed together, as one delivery. none: each on its own. folder:
    together. auto: together where a folder holds a thousand and more, as logs of one object per request do."""
    tags: TagMapping = TagMapping()
    """How request tags fill columns."""


class ParsingSettings(SettingsPart):
    """What reading one landed file may take. A file that needs more is refused with the limit's name, and the others go on."""

    memory_mb: Annotated[int, Field(ge=1024)] = 4096
    """Memory of the process that parses. Enforced by the operating system on Linux; macOS does not enforce it."""
    cpu_s: Annotated[int, Field(ge=1)] = 120
    """Seconds of processor time for any file."""
    cpu_s_per_mb: Annotated[int, Field(ge=0)] = 2
    """Seconds on top for each megabyte of the file as landed; reading takes a small part of that."""


class PriceSettings(SettingsPart):
    """Where prices come from, the stronger first: the contract file, accepted price files, genai-prices, LiteLLM's list."""

    contract_file: str | None = None
    """CSV of negotiated prices; columns in docs/reference/prices.md."""
    surcharges_file: str | None = None
    """CSV of what regions cost above the list; columns in docs/reference/prices.md."""
    folder: str = "prices"
    """Folder of price files that ``usage-etl prices import --accept`` writes; a missing folder is an empty one."""
    sources: tuple[Literal["genai-prices", "litellm"], ...] = ("genai-prices", "litellm")
    """Published lists that are used. LiteLLM's fills the gaps of genai-prices; it never overrules it."""
    model_aliases: dict[str, str] = Field(default={})
    """``model as sent`` to ``provider/model`` of the price book, for deployments and fine-tunes."""


class MailSettings(SettingsPart):
    """How mail leaves. ``files`` writes ``.eml`` files into the out location."""

    mode: Literal["files", "smtp"] = "files"
    """files: ``.eml`` files in the out location, nothing leaves. smtp: sent through ``host``."""
    sender: str = "AI usage reports <usage-etl@localhost>"
    """From address of every mail."""
    host: str = "localhost"
    """SMTP server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Port of the SMTP server."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted; none is for a relay on the same machine."""
    username: str | None = None
    """Login of the SMTP server; null logs in as nobody."""
    password: SecretRef | None = None
    """Password of ``username``."""
    attach_limit_mb: Annotated[int, Field(ge=0, le=25)] = 5
    """A PDF larger than this is not attached; 0 never attaches."""


class ReportSettings(SettingsPart):
    """What goes out, where, to whom."""

    location: Location = "out"
    """Folder or ``s3://bucket/prefix`` for finished reports."""
    executive_recipients: tuple[str, ...] = ()
    """Who gets the executive report."""
    chargeback_recipients: tuple[str, ...] = ()
    """Who gets the monthly chargeback files, and what changed in a month that was closed before."""
    statements: Literal["closed", "preliminary", "never"] = "closed"
    """When the statement of a cost center is mailed to its owner: once its month is closed, before that too, or never."""
    focus_version: Literal["1.2", "1.3", "1.4"] = "1.2"
    """Version of FOCUS in which ``focus.csv`` is written."""
    failure_recipients: tuple[str, ...] = ()
    """Who is told when a run fails."""
    page_size: Literal["A4", "Letter"] = "A4"
    """Paper of the PDF."""
    templates: str | None = None
    """Folder whose templates replace the shipped ones, file by file."""
    dashboard_url: str | None = None
    """Stable address of the published reports, printed as a link; null prints none."""


class ScheduleSettings(SettingsPart):
    """Cron expressions in the organization's time zone."""

    daily: str = "30 6 * * *"
    """When sources are read and the last days are built."""
    trailing_days: Annotated[int, Field(ge=1, le=120)] = 7
    """How many days before today the daily run builds again; days whose input did not change are left as they are."""
    monthly_chargeback: str = "0 8 5 * *"
    """When last month's chargeback goes out."""
    close: str = "0 9 8 * *"
    """When last month is closed for every provider that passes the gates of ``close``."""
    executive: str = "0 7 * * 1"
    """When the executive report goes out."""
    limits: str = "7 * * * *"
    """When the limit-state file is published anew and the gateway is told; also after every monthly run."""


class Settings(SettingsPart):
    """The whole file. Relative paths are relative to ``base_path``, the file's own folder."""

    version: Literal["1"]
    """Version of this file's format."""
    organization: OrganizationSettings
    """Who the reports are about."""
    start_date: dt.date
    """First day of the lake; a first of a month."""
    as_of_date: dt.date | None = None
    """Pretend that data ends here (demo, tests); null is the last complete UTC day."""
    lake: LakeSettings = LakeSettings()
    """Where data is stored."""
    s3: S3Settings = S3Settings()
    """How to reach S3."""
    state: StateSettings = StateSettings()
    """Where state is stored."""
    directory: str = "directory"
    """Folder of the directory files (docs/reference/directory.md); a missing file is an empty directory."""
    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)]
    """Where data comes from; at least one."""
    parsing: ParsingSettings = ParsingSettings()
    """What reading one file may take."""
    prices: PriceSettings = PriceSettings()
    """Where prices come from."""
    finance: str = "finance"
    """Folder of invoices.csv, fx_rates.csv and the disputes/*.csv of owners; a missing file is an empty one."""
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    """How usage and bill are compared."""
    allocation: AllocationSettings = AllocationSettings()
    """By which rules invoices are divided among owners."""
    close: CloseSettings = CloseSettings()
    """What must hold before a month is closed."""
    journal: JournalSettings = JournalSettings()
    """Accounts of the general ledger."""
    quotas: QuotaSettings = QuotaSettings()
    """The billing calendar, and how hard limits reach a gateway."""
    recommendations: RecommendationSettings = RecommendationSettings()
    """What may be recommended, and what is assumed for it."""
    alerts: AlertSettings = AlertSettings()
    """What is watched, and who is told."""
    anomalies: AnomalySettings = AnomalySettings()
    """What stands out enough to be told, and what was planned."""
    mail: MailSettings = MailSettings()
    """How mail leaves."""
    reports: ReportSettings = ReportSettings()
    """What goes out."""
    channels: ChannelList = ()
    """Where alerts go."""
    schedules: ScheduleSettings = ScheduleSettings()
    """When it goes out."""
    people: PeopleSettings = PeopleSettings()
    """How people may appear in figures about people."""
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

    @model_validator(mode="after")
    def _alerts_reach_channels(self) -> Self:
        faults = self.alerts.unknown_channels({channel.name: channel for channel in self.channels})
        if faults:
            raise ValueError("; ".join(f"alerts.{fault}" for fault in faults))
        return self

    def resolve(self, location: str) -> str:
        """``location`` as an absolute path, or unchanged when it is an ``s3://`` address."""
        if location.startswith("s3://"):
            return location.rstrip("/")
        return str((self.base_path / location).resolve())


def settings_model(kinds: Sequence[type[SourceSettings]]) -> type[Settings]:
    """The settings file whose ``sources`` may be of the given kinds, told apart by ``kind``."""
    return _settings_model(tuple(kinds))


@lru_cache
def _settings_model(kinds: tuple[type[SourceSettings], ...]) -> type[Settings]:
    entry: Any = Annotated[Union[kinds], Field(discriminator="kind")] if len(kinds) > 1 else kinds[0]  # noqa: UP007 - at run time
    sources: Any = Annotated[tuple[entry, ...], Field(min_length=1, description=Settings.model_fields["sources"].description)]
    return create_model(Settings.__name__, __base__=Settings, sources=(sources, ...))
