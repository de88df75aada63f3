"""Input that is sent again and again, read from the provider's cache instead; always a range.

Facts do not tell which input repeats. Where others read from the cache on the same feature and model, their share is the
measure. Elsewhere a range from the settings is assumed, and only where nobody has asked for the cache: its share is nothing,
and the provider charges for writing to it. A cache that works by itself, or is in use, shows by its share what repeats. Only
hours count in which a cache stays warm and prompts are long enough, at prices that name a cheaper rate for reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.recommendations.peers import peers_of
from usage_etl.recommendations.traffic import Case, Question, asks

_MEMBER = ("member_kind", "member_id")
_GROUP = (*_MEMBER, "feature_id", "model_key")
_WORTH_A_WORD = 0.05
"""How far the share must be from the target."""
_UNUSED = 0.01
"""Below this share a cache is not in use."""


@dataclass(frozen=True)
class _Target:
    """Shares of the input to read from the cache, and how many of those each written token serves; 0 writes nothing extra."""

    basis: str
    low: float
    middle: float
    high: float
    reads_per_write: float
    peers_count: int = 0


def uncached_repeats(rows: pl.DataFrame, settings: RecommendationSettings) -> Iterator[Question]:
    """One question per key (or team without one), feature and model that could read more from a cache. ``rows`` are priced."""
    warm = _warm(with_member(rows), settings)
    summed = warm.group_by("feature_id", "model_key", *_MEMBER, maintain_order=True).agg(
        pl.col("input_tokens", "cache_read_tokens", "requests_count").sum(),
        is_written_on_demand=_costs_to_write().any(),
        written_tokens=pl.col("cache_write_5m_tokens").sum() + pl.col("cache_write_1h_tokens").sum(),
    )
    shares: dict[tuple[object, object], dict[str, tuple[float, int, int]]] = {}
    for row in summed.iter_rows(named=True):
        if row["requests_count"] >= settings.peer_requests and row["feature_id"] is not None:
            found = row["cache_read_tokens"] / row["input_tokens"], row["cache_read_tokens"], row["written_tokens"]
            shares.setdefault((row["feature_id"], row["model_key"]), {})[_name(row)] = found
    whole = with_member(rows).group_by(_GROUP, maintain_order=True).agg(pl.col("input_tokens", "cache_read_tokens").sum())
    totals = {tuple(key): (tokens, read) for *key, tokens, read in whole.iter_rows()}
    for row in summed.iter_rows(named=True):
        target = _target(_name(row), shares.get((row["feature_id"], row["model_key"]), {}), settings)
        share = row["cache_read_tokens"] / row["input_tokens"]
        is_open = target.basis == "peers" or (row["is_written_on_demand"] and share < _UNUSED)
        if is_open and share < target.middle - _WORTH_A_WORD:
            key = tuple(row[name] for name in _GROUP)
            own = warm.filter(
                pl.all_horizontal(pl.col(name).eq_missing(pl.lit(part)) for name, part in zip(_GROUP, key, strict=True))
            )
            yield _question(own, key, row, target, totals[key])


def with_member(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the key that sent them, or the team where no key is known."""
    has_key = pl.col("api_key_id").is_not_null()
    return rows.with_columns(
        member_kind=pl.when(has_key).then(pl.lit("api_key")).otherwise(pl.lit("team")),
        member_id=pl.coalesce("api_key_id", "team_id"),
    )


def _costs_to_write() -> pl.Expr:
    """Whether the price asks more for input that is written to the cache: then it is written where a request says so."""
    return (pl.col("own_write_rate") > pl.col("own_input_rate")).fill_null(value=False)


def _name(row: Mapping[str, object]) -> str:
    return f"{row['member_kind']}/{row['member_id']}"


def _warm(rows: pl.DataFrame, settings: RecommendationSettings) -> pl.DataFrame:
    """Rows of hours with enough long requests of one member, feature and model, where reading a cache is cheaper."""
    is_cheaper = pl.col("own_read_rate") < pl.col("own_input_rate")
    is_chat = (pl.col("primitive") == "ai.chat") & (pl.col("input_tokens") > 0)
    requests = pl.col("requests_count").sum().over("hour_start_at", *_GROUP)
    tokens = pl.col("input_tokens").sum().over("hour_start_at", *_GROUP)
    return rows.filter(is_cheaper & is_chat).filter(
        (requests >= settings.cache_requests_per_hour) & (tokens >= requests * settings.cache_minimum_tokens)
    )


def _target(member: str, shares: Mapping[str, tuple[float, int, int]], settings: RecommendationSettings) -> _Target:
    peers = peers_of(member, {name: share for name, (share, _, _) in shares.items()}, minimum=settings.minimum_peers)
    if peers is None:
        low, high = float(settings.cache_share_low), float(settings.cache_share_high)
        return _Target("assumption", low, low, high, float(settings.cache_reads_per_write))
    read = sum(reads for name, (_, reads, _) in shares.items() if name != member)
    written = sum(writes for name, (_, _, writes) in shares.items() if name != member)
    per_write = read / written if written else 0.0
    return _Target("peers", peers.lower, peers.middle, peers.upper, per_write, peers.members_count)


def cached_like(rows: pl.DataFrame, share: float, reads_per_write: float) -> pl.DataFrame:
    """The rows with ``share`` of their text input read from the cache, and what that takes written to it for five minutes.

    Writing is extra only where the price names a dearer rate for it. Input is conserved.
    """
    text = pl.col("input_uncached_tokens") - pl.col("input_audio_tokens") - pl.col("input_image_tokens")
    wanted = (pl.col("input_tokens") * share).floor().cast(pl.Int64) - pl.col("cache_read_tokens")
    moved = rows.with_columns(read_more=pl.min_horizontal(pl.max_horizontal(wanted, 0), text))
    needed = (pl.col("read_more") / reads_per_write).ceil().cast(pl.Int64) if reads_per_write else pl.lit(0, pl.Int64)
    written = moved.with_columns(
        write_more=pl.when(_costs_to_write()).then(pl.min_horizontal(needed, text - pl.col("read_more"))).otherwise(0)
    )
    return written.with_columns(
        input_uncached_tokens=pl.col("input_uncached_tokens") - pl.col("read_more") - pl.col("write_more"),
        cache_read_tokens=pl.col("cache_read_tokens") + pl.col("read_more"),
        cache_write_5m_tokens=pl.col("cache_write_5m_tokens") + pl.col("write_more"),
    ).drop("read_more", "write_more")


def _question(
    rows: pl.DataFrame, key: Sequence[object], row: Mapping[str, int], target: _Target, total: tuple[int, int]
) -> Question:
    kind, member, feature, model = (None if part is None else str(part) for part in key)
    own = row["cache_read_tokens"] / row["input_tokens"]
    case = Case(
        recommendation_kind="caching",
        scope_kind=str(kind),
        scope_id=str(member),
        feature_id=feature,
        model_id=model,
        target_model_id=None,
        target_processing=None,
        difficulty="medium",
        basis=target.basis,
        choice=f"caching:{kind}:{member}:{feature}:{model}",
        whole_count=total[0],
        part_count=total[1],
        measures={
            "own": f"{own:.0%}", "low": f"{target.low:.0%}", "high": f"{target.high:.0%}", "peers_count": str(target.peers_count)
        },
    )  # fmt: skip
    plain = rows.drop("member_kind", "member_id")
    variants = {"expected": target.middle, "lower": target.low, "upper": target.high}
    asked = [asks(cached_like(plain, share, target.reads_per_write), variant=name) for name, share in variants.items()]
    return Question(case, pl.concat(asked))
