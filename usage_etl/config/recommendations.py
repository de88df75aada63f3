"""Settings of recommendations: which models may stand in for each other, what nobody waits for, and what is assumed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from usage_etl.config.base import SettingsPart, Slug

ModelName = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/\S+$")]
"""``provider/model`` of the price book."""
Share = Annotated[Decimal, Field(ge=0, le=1)]


class EquivalenceClass(SettingsPart):
    """Models that may stand in for each other. Nothing is recommended that no class declares."""

    name: Slug
    """Name of the class."""
    models: Annotated[tuple[ModelName, ...], Field(min_length=2)]
    """``provider/model`` of the price book, at least two; each may stand in for each other."""
    features: tuple[str, ...] = ()
    """Only for requests of these features; none are all, and requests without a feature too."""
    except_features: tuple[str, ...] = ()
    """Not for requests of these features."""
    teams: tuple[str, ...] = ()
    """Only for requests of these teams; none are all."""
    max_input_tokens: Annotated[int, Field(ge=1)] | None = None
    """Only where requests have at most this much input on average; null is any."""
    difficulty: Literal["low", "medium", "high"] = "medium"
    """How hard the change is."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        repeated = sorted({model for model in self.models if self.models.count(model) > 1})
        if repeated:
            raise ValueError(f"model(s) named twice: {', '.join(repeated)}")
        return self


class RecommendationSettings(SettingsPart):
    """What may be recommended, and what is assumed where nothing can be measured."""

    minimum_monthly_savings: Annotated[Decimal, Field(ge=0)] = Decimal(25)
    """Saving of a month, in the organization's currency, below which nothing is recommended."""
    minimum_days: Annotated[int, Field(ge=1, le=28)] = 14
    """Days of data before anything is recommended, and before a promise is judged."""
    minimum_active_days: Annotated[int, Field(ge=1, le=28)] = 5
    """Days with such traffic below which it is an incident, not a habit: nothing is recommended for it."""
    equivalence_classes: tuple[EquivalenceClass, ...] = ()
    """Models that may stand in for each other, and where."""
    tokenizer_margin_ratio: Share = Decimal("0.1")
    """How far the tokens of another model may differ for the same text: the range of a substitution."""
    background_features: tuple[str, ...] = ()
    """Features whose answers nobody waits for: candidates for the price classes batch and flex."""
    night_from_hour: Annotated[int, Field(ge=0, le=23)] = 22
    """First hour of the night, in the organization's zone."""
    night_to_hour: Annotated[int, Field(ge=0, le=23)] = 6
    """First hour that is no longer night; equal hours make no nights."""
    night_movable_ratio: Share = Decimal("0.5")
    """Assumed share of night traffic without people that can wait: the estimate and its low end; the high end is all of it."""
    minimum_peers: Annotated[int, Field(ge=2)] = 3
    """How many others on the same feature make a measure; fewer are no peers."""
    peer_requests: Annotated[int, Field(ge=1)] = 50
    """Requests that a member of a feature needs to be compared, or to be compared with."""
    prompt_excess_ratio: Annotated[Decimal, Field(ge=0)] = Decimal("0.25")
    """How far input per request must stand above the peers' median to be worth a word."""
    cache_minimum_tokens: Annotated[int, Field(ge=1)] = 2048
    """Average input of a request below which providers cache little or nothing."""
    cache_requests_per_hour: Annotated[int, Field(ge=2)] = 6
    """Requests of one key, feature and model in one hour that keep a cache warm."""
    cache_share_low: Share = Decimal("0.2")
    """Assumed where no peer is measured: share of the input that can be read from the cache; the estimate and its low end."""
    cache_share_high: Share = Decimal("0.6")
    """The same, high end."""
    cache_reads_per_write: Annotated[int, Field(ge=1)] = 5
    """Assumed where no peer is measured: tokens read from the cache for each one written to it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cache_share_low > self.cache_share_high:
            raise ValueError("cache_share_low is above cache_share_high")
        names = [one.name for one in self.equivalence_classes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"equivalence_classes: name(s) used twice: {', '.join(repeated)}")
        return self
