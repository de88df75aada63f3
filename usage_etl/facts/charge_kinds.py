"""What a charge is for, read from what sources write: a maintained table of which the first row that fits decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

_TEXTS = ("charge_description", "sku_meter", "sku_id", "service_name")
_UNITS = ("sku_meter", "consumed_unit", "pricing_unit")

_SUPPORT = r"(?i)\bsupport\b"
_SEAT = (
    r"(?i)\bseats?\b|\bper[ -]user\b|\blicen[cs]es?\b|\buser[ -]months?\b"
    r"|\bsubscription\b.*\b(user|plan|pro|team|business|enterprise)\b"
)
_SEAT_UNIT = r"(?i)^(user|seat|licen[cs]e)s?([ -]months?)?$"
_COMMITMENT = r"(?i)^commitment\b|\bsavings ?plans?\b|\breserv(ed|ation)\b|\bcommitted use\b"
_CAPACITY = r"(?i)provisioned|\bPTUs?\b|\bthroughput units?\b|\bmodel units?\b|\bscale units?\b|\breserved capacity\b"
_PREPAID = (
    r"(?i)\bpre-?paid\b|\btop[ -]?up\b|\bauto[ -]?(recharge|reload)\b|\bcredits? (purchase|pack|grant)\b|\bpurchase of credits?\b"
)
_OVERAGE = r"(?i)\boverages?\b|\bpremium requests?\b|\bbeyond included\b"
_MARKETPLACE = r"(?i)\bmarketplace\b"
_SEAT_PROVIDERS = ("github", "cursor")
"""Providers that sell seats with use included: use that they bill by user is beyond it."""


def _says(pattern: str, columns: Sequence[str] = _TEXTS) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).str.contains(pattern).fill_null(value=False) for name in columns)


def _is(column: str, *allowed: str) -> pl.Expr:
    return pl.col(column).is_in(allowed).fill_null(value=False)


@dataclass(frozen=True)
class KindRule:
    """Charges for which ``condition`` holds are of ``charge_kind``, unless an earlier row fits."""

    charge_kind: str
    condition: pl.Expr
    evidence: str
    """Which providers write it so, for the reader of the table."""


_IS_PURCHASE = _is("charge_category", "Purchase")
_IS_USAGE = _is("charge_category", "Usage")

CHARGE_KIND_RULES: tuple[KindRule, ...] = (
    KindRule("tax", _is("charge_category", "Tax"), "every provider: FOCUS category"),
    KindRule("credit", _is("charge_category", "Credit"), "every provider: FOCUS category"),
    KindRule("adjustment", _is("charge_category", "Adjustment"), "every provider: FOCUS category; refunds of AWS and Azure"),
    KindRule(
        "support",
        _says(_SUPPORT, ("service_name", "charge_description")) & pl.col("model_id").is_null(),
        "AWS and Google bill support plans as services of that name",
    ),
    KindRule(
        "seat",
        _says(_SEAT_UNIT, _UNITS) | (_IS_PURCHASE & (_says(_SEAT) | pl.col("user_id").is_not_null())),
        "GitHub Copilot meters User-Months; other purchases that name a user, a seat or a licence",
    ),
    KindRule(
        "commitment",
        pl.col("commitment_discount_status").is_not_null()
        | (_IS_PURCHASE & (pl.col("commitment_discount_id").is_not_null() | _says(_COMMITMENT))),
        "AWS RIFee, SavingsPlan fees and what they cover; Azure reservations, used and unused; Google Commitment SKUs",
    ),
    KindRule(
        "capacity",
        _says(_CAPACITY) & (_IS_PURCHASE | pl.col("model_id").is_null()),
        "Azure PTU, Bedrock model units, Google Provisioned Throughput",
    ),
    KindRule("prepaid", _IS_PURCHASE & _says(_PREPAID), "credits bought in advance"),
    KindRule(
        "overage",
        _IS_USAGE & (_is("provider_name", *_SEAT_PROVIDERS) | _says(_OVERAGE)),
        "premium requests and AI credits of GitHub Copilot, billed events of Cursor",
    ),
    KindRule(
        "marketplace",
        _says(_MARKETPLACE, ("invoice_issuer_name", "service_name", "sku_meter")),
        "AWS Marketplace as invoicing entity, Azure and Google resales",
    ),
    KindRule("purchase", _IS_PURCHASE, "any other purchase"),
)
"""Ordered; what no row fits is ``usage``."""


def charge_kind() -> pl.Expr:
    """The kind of a row of billing_charges: of the first rule that fits, else ``usage``."""
    found = pl.lit("usage")
    for rule in reversed(CHARGE_KIND_RULES):
        found = pl.when(rule.condition).then(pl.lit(rule.charge_kind)).otherwise(found)
    return found
