"""The cheaper price classes, for work that nobody waits for: declared background features, and nights without people."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.recommendations.substitution import SCOPE
from usage_etl.recommendations.traffic import Case, Question, asks, is_night

CHEAP_CLASSES = {"batch": "batch_processing", "flex": "flex_processing"}
"""Price class to the kind of advice."""
_EFFORTS = {"batch": "medium", "flex": "low"}


def slower_classes(rows: pl.DataFrame, settings: RecommendationSettings) -> Iterator[Question]:
    """One question per background feature, or scope with nights without people, and cheaper price class.

    A batch reads no cache for certain: the low end prices what was read from it as other input. Rows of a price class that
    the price list does not name are left out once the answer is known. ``rows`` are priced.
    """
    background = pl.col("feature_id").is_in(list(settings.background_features)).fill_null(value=False)
    yield from _questions(rows.filter(background), None, Decimal(1))
    hours = (settings.night_from_hour, settings.night_to_hour)
    if hours[0] != hours[1]:
        quiet = rows.filter(~background & is_night(hours) & ~pl.col("is_person"))
        yield from _questions(quiet, hours, settings.night_movable_ratio)


def is_cheap_class() -> pl.Expr:
    """Whether the row was served in a cheaper price class already."""
    return pl.col("processing").is_in(list(CHEAP_CLASSES))


def uncached(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with everything that was read from or written to a cache as other input."""
    moved = {"input_audio_tokens": "cache_read_audio_tokens", "input_image_tokens": "cache_read_image_tokens"}
    zero = pl.lit(0, pl.Int64)
    return rows.with_columns(
        input_uncached_tokens=pl.col("input_tokens"),
        cache_read_tokens=zero,
        cache_write_5m_tokens=zero,
        cache_write_1h_tokens=zero,
        **{whole: pl.col(whole) + pl.col(part) for whole, part in moved.items()},
        **dict.fromkeys(moved.values(), zero),
    )


def _questions(rows: pl.DataFrame, hours: tuple[int, int] | None, movable: Decimal) -> Iterator[Question]:
    for key, group in rows.group_by(*SCOPE, maintain_order=True):
        standard = group.filter(~is_cheap_class())
        whole, done = (int(part["requests_count"].sum()) for part in (group, group.filter(is_cheap_class())))
        for processing in CHEAP_CLASSES if standard.height else ():
            kind, scope_id, feature = (None if part is None else str(part) for part in key)
            case = Case(
                recommendation_kind=CHEAP_CLASSES[processing],
                scope_kind=str(kind),
                scope_id=str(scope_id),
                feature_id=feature,
                model_id=None,
                target_model_id=None,
                target_processing=processing,
                difficulty=_EFFORTS[processing],
                basis="repriced" if hours is None else "assumption",
                choice=f"processing:{kind}:{scope_id}:{feature}",
                whole_count=whole,
                part_count=done,
                night_hours=hours,
                movable_ratio=movable,
            )
            asked = asks(standard, processing=processing), asks(uncached(standard), processing=processing, variant="lower")
            yield Question(case, pl.concat(asked))
