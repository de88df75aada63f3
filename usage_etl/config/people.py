"""How people may appear in marts about people."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from usage_etl.config.base import SecretRef, SettingsPart


class PeopleSettings(SettingsPart):
    """Lawful figures about people: who may be told apart, and in how large a group."""

    minimum_group_size: Annotated[int, Field(ge=1)] = 5
    """Groups of fewer people have no figures about people in mart_peers, mart_cohorts and mart_adoption."""
    pseudonyms: bool = False
    """Whether mart_peers names people by a keyed hash instead of their id and name."""
    pseudonym_key: SecretRef | None = None
    """Key of the hash; with another key every person has another pseudonym. Required by ``pseudonyms``."""

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if self.pseudonyms and self.pseudonym_key is None:
            raise ValueError("pseudonyms: needs pseudonym_key, for example pseudonym_key: {env: USAGE_ETL_PSEUDONYM_KEY}")
        return self
