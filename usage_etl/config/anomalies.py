"""Settings of anomalies: what is worth telling, and what was planned."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from usage_etl.config.base import SettingsPart


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


class AnomalySettings(SettingsPart):
    """What is worth telling."""

    minimum_excess: Annotated[Decimal, Field(ge=0)] = Decimal(25)
    """Least excess of a day, in the organization's currency, that is told. Tokens and requests count at their usual cost."""
    minimum_failures: Annotated[int, Field(ge=1)] = 20
    """Least failed requests of a day beyond the usual rate that are told."""
    minimum_requests: Annotated[int, Field(ge=1)] = 50
    """Requests that a day must have before its error rate, latency or tokens per request is judged."""
    known_events: tuple[KnownEvent, ...] = ()
    """Planned events: load tests, migrations, maintenance."""
