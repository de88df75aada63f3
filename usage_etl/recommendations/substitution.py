"""Another model of a declared class of equivalents, for the same requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import polars as pl

from usage_etl.config.recommendations import EquivalenceClass, RecommendationSettings
from usage_etl.recommendations.traffic import Case, Question, asks, is_small_enough

SCOPE = ("scope_kind", "scope_id", "feature_id")


def substitutions(rows: pl.DataFrame, settings: RecommendationSettings) -> Iterator[Question]:
    """One question per class, scope, model in use and each other model of the class. ``rows`` are priced."""
    for one in settings.equivalence_classes:
        allowed = _scoped(rows.filter(_allows(one) & is_small_enough(one.max_input_tokens)), one)
        current = allowed.with_columns(class_model=named_model(one.models)).drop_nulls("class_model")
        for key, group in current.group_by(*SCOPE, "class_model", maintain_order=True):
            counts = _requests_by_model(current, key[:3])
            for target in one.models:
                if target != key[3]:
                    case = _case(one, settings.tokenizer_margin_ratio, key, target, counts)
                    yield Question(case, asks(group.drop("class_model"), model_id=target))


def named_model(models: Sequence[str]) -> pl.Expr:
    """The entry of ``models`` (``provider/model``) that the row's model is, by who made it or who serves it; null: none."""
    by_maker, by_host = (pl.format("{}/{}", name, "model_id") for name in ("provider", "host"))
    return pl.when(by_host.is_in(list(models))).then(by_host).when(by_maker.is_in(list(models))).then(by_maker)


def _allows(one: EquivalenceClass) -> pl.Expr:
    feature = pl.col("feature_id")
    is_asked = feature.is_in(list(one.features)).fill_null(value=False) if one.features else pl.lit(value=True)
    is_kept_out = feature.is_in(list(one.except_features)).fill_null(value=False)
    is_of_team = pl.col("team_id").is_in(list(one.teams)) if one.teams else pl.lit(value=True)
    return is_asked & ~is_kept_out & is_of_team


def _scoped(rows: pl.DataFrame, one: EquivalenceClass) -> pl.DataFrame:
    """A class for some teams is advice to each of them, not to whoever owns the feature."""
    return rows.with_columns(scope_kind=pl.lit("team"), scope_id=pl.col("team_id")) if one.teams else rows


def _requests_by_model(current: pl.DataFrame, scope: Sequence[object]) -> dict[str, int]:
    is_scope = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(member)) for name, member in zip(SCOPE, scope, strict=True))
    return dict(current.filter(is_scope).group_by("class_model").agg(pl.col("requests_count").sum()).iter_rows())


def _case(one: EquivalenceClass, margin: Decimal, key: Sequence[object], target: str, counts: Mapping[str, int]) -> Case:
    kind, scope_id, feature, model = (None if part is None else str(part) for part in key)
    already = counts.get(target, 0)
    return Case(
        recommendation_kind="model_substitution",
        scope_kind=str(kind),
        scope_id=str(scope_id),
        feature_id=feature,
        model_id=model,
        target_model_id=target,
        target_processing=None,
        difficulty=one.difficulty,
        basis="repriced",
        choice=f"model:{kind}:{scope_id}:{feature}:{model}",
        whole_count=counts[str(model)] + already,
        part_count=already,
        max_request_input_tokens=one.max_input_tokens,
        margin_ratio=margin,
    )
