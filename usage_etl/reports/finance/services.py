"""Services as FOCUS wants them: every service name has one category and one subcategory, both of the listed ones."""

from __future__ import annotations

import polars as pl

from usage_etl.reports.finance.charges import blank_as_null
from usage_etl.reports.finance.focus_columns import AI_CATEGORY, GENERATIVE_AI, OTHER_CATEGORY, SERVICE_CATEGORIES

NO_SERVICE = "Billing adjustment"
"""Service of charges that name none: rounding, and disputes of such lines. Its category is Other."""


def with_services(charges: pl.DataFrame) -> pl.DataFrame:
    """``charges`` with ``focus_service``, ``focus_category`` and ``focus_subcategory``.

    Where lines of one service name different categories, the most frequent holds for all, of equally frequent ones the first
    in the alphabet. A category that FOCUS does not list is Other. The subcategory is Generative AI for an AI service whose
    lines name a model, else the category's own rest, because charge lines are not kept by subcategory.
    """
    named = charges.with_columns(
        focus_service=pl.coalesce(blank_as_null("service_name"), blank_as_null("origin_service_name"), pl.lit(NO_SERVICE))
    ).with_columns(row_category=_listed_category())
    services = (
        named.group_by("focus_service", "row_category")
        .agg(rows_count=pl.len(), names_model=pl.col("model_id").is_not_null().any())
        .sort("focus_service", "rows_count", "row_category", descending=[False, True, False])
        .group_by("focus_service", maintain_order=True)
        .agg(focus_category=pl.col("row_category").first(), names_model=pl.col("names_model").any())
        .with_columns(focus_subcategory=_subcategory())
    )
    joined = named.join(services, on="focus_service", how="left", maintain_order="left")
    return joined.drop("row_category", "names_model")


def _listed_category() -> pl.Expr:
    sent = blank_as_null("origin_service_category").str.strip_chars().str.to_lowercase()
    listed = {name.lower(): name for name in SERVICE_CATEGORIES}
    known = sent.replace_strict(listed, default=OTHER_CATEGORY, return_dtype=pl.String)
    return (
        pl.when(pl.col("focus_service") == NO_SERVICE)
        .then(pl.lit(OTHER_CATEGORY))
        .otherwise(pl.when(sent.is_null()).then(pl.lit(AI_CATEGORY)).otherwise(known))
    )


def _subcategory() -> pl.Expr:
    rest = pl.format("Other ({})", "focus_category")
    is_generative = (pl.col("focus_category") == AI_CATEGORY) & pl.col("names_model")
    return pl.when(is_generative).then(pl.lit(GENERATIVE_AI)).otherwise(rest)
