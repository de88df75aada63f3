"""Settings of anomalies and diagnoses: what is worth telling, what was planned, and when a rule of thumb speaks."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from usage_etl.config.base import SettingsPart

Positive = Annotated[Decimal, Field(gt=0)]


class KnownEvent(SettingsPart):
    """A stretch of days on which something planned explains what stands out. Anomalies are kept, and do not alert."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    """Why, as shown beside the anomaly."""
    first_date: dt.date
    """First UTC day."""
    last_date: dt.date
    """Last UTC day, included."""
    scope_kind: Literal["organization", "team", "user", "api_key", "model"] = "organization"
    """Whose anomalies; organization is everybody's."""
    scope_id: str | None = None
    """Member of ``scope_kind``; a model is written provider/model. Not needed for the organization."""
    measures: tuple[str, ...] = ()
    """Only these measures, such as error_ratio; empty is all."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.last_date < self.first_date:
            raise ValueError(f"last_date {self.last_date} is before first_date {self.first_date}")
        if self.scope_kind != "organization" and not self.scope_id:
            raise ValueError(f"scope_id is missing: which {self.scope_kind}")
        from usage_etl.schemas.anomalies import ANOMALY_MEASURES  # noqa: PLC0415 - the tables load polars

        unknown = sorted(set(self.measures) - set(ANOMALY_MEASURES))
        if unknown:
            raise ValueError(f"measures: unknown {', '.join(unknown)}; use {', '.join(ANOMALY_MEASURES)}")
        return self


class DiagnosisSettings(SettingsPart):
    """When a rule of thumb speaks. Ratios are to the median of the group."""

    minimum_group: Annotated[int, Field(ge=3)] = 5
    """Users that a group must have before one of them is compared with the others."""
    minimum_requests: Annotated[int, Field(ge=1)] = 50
    """Requests below which a day's error rate, latency and tokens per request, and a user's month, are not judged."""
    slow_ratio: Positive = Decimal("1.5")
    """Average latency, at the user's own mix of models, above this many times the others'."""
    tokens_per_request_ratio: Positive = Decimal(3)
    """Tokens per request above this many times the median."""
    few_requests_share: Annotated[Decimal, Field(gt=0, lt=1)] = Decimal("0.25")
    """Few requests: fewer than this share of the median, with more tokens than the median."""
    input_output_ratio: Positive = Decimal(5)
    """Input per output token this many times above or below the median of the users of the same feature."""
    cost_ratio: Positive = Decimal(5)
    """Cost of a user above this many times the median, and above ``minimum_excess``."""
    missing_user_share: Annotated[Decimal, Field(gt=0, lt=1)] = Decimal("0.05")
    """Share of a source's requests without a user above which it is told."""
    silent_days: Annotated[int, Field(ge=1)] = 14
    """Days without a request after which a user who was active every week before counts as gone silent."""


class AnomalySettings(DiagnosisSettings):
    """What is worth telling."""

    minimum_excess: Annotated[Decimal, Field(ge=0)] = Decimal(25)
    """Least excess of a day, in the organization's currency, that is told. Tokens and requests count at their usual cost."""
    minimum_failures: Annotated[int, Field(ge=1)] = 20
    """Least failed requests of a day beyond the usual rate that are told."""
    known_events: tuple[KnownEvent, ...] = ()
    """Planned events: load tests, migrations, maintenance."""
