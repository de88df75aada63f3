"""Settings of quotas: the billing calendar, what counts as near, and how hard limits reach a gateway."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from usage_etl.config.base import SecretRef, SettingsPart

ENFORCEABLE_SCOPES = ("team", "user", "api_key")
"""Kinds of scopes that a gateway can refuse."""


class QuotaSettings(SettingsPart):
    """Quotas themselves stand in ``quotas.csv``, ``budgets.csv`` and ``entitlements.csv`` of the directory folder."""

    billing_day: Annotated[int, Field(ge=1, le=28)] = 1
    """Day of the month on which a billing month begins, in UTC like all days of facts; no month lacks one up to the 28th."""
    near_pct: Annotated[Decimal, Field(gt=0, le=100)] = Decimal(80)
    """Share of a monthly allocation from which an account is shown as near it."""
    signing_key: SecretRef | None = None
    """Key with which the limit-state file is signed; null publishes none."""
    signing_key_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")] = "1"
    """Name of the signing key, written into the file so that keys can be changed."""
    valid_hours: Annotated[int, Field(ge=1, le=744)] = 50
    """How long a published limit-state file may be obeyed; it is published anew with every run and each day."""
    gateway_url: str | None = None
    """Address of a LiteLLM proxy that limits are written to; null writes none."""
    gateway_admin_key: SecretRef | None = None
    """Admin key of that proxy."""
    gateway_mode: Literal["dry_run", "limits", "blocks"] = "dry_run"
    """dry_run: only says what it would do. limits: writes budgets, which the gateway enforces live. blocks: also blocks keys
    and teams whose hard quota is used up and that no budget can stop."""
    gateway_timeout_s: Annotated[int, Field(ge=1, le=120)] = 15
    """How long one call may take."""
    never_block: tuple[str, ...] = ()
    """Scopes that no file and no call ever blocks or limits, each as ``team:<id>``, ``user:<id>`` or ``api_key:<id>``."""
    max_blocks: Annotated[int, Field(ge=0)] = 10
    """Most scopes that one run may block newly. If there are more, none is blocked, and the run fails by name."""

    @field_validator("gateway_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with https:// or http://")
        return url.rstrip("/") if url else None

    @field_validator("never_block")
    @classmethod
    def _scopes(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        for scope in scopes:
            kind, colon, member = scope.partition(":")
            if kind not in ENFORCEABLE_SCOPES or not colon or not member:
                raise ValueError(f"{scope!r} is no scope; write {', '.join(f'{kind}:<id>' for kind in ENFORCEABLE_SCOPES)}")
        return scopes

    @model_validator(mode="after")
    def _has_admin_key(self) -> Self:
        if self.gateway_url and self.gateway_admin_key is None:
            raise ValueError("gateway_url needs gateway_admin_key")
        return self
