"""Input per request against peers: teams that send more than others do on the same feature."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.recommendations.peers import Peers, peers_of
from usage_etl.recommendations.traffic import Case, Question, asks
from usage_etl.units import INPUT_TOKEN_CLASSES

INPUT_PARTS = (
    *INPUT_TOKEN_CLASSES,
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "input_image_tokens",
    "cache_read_image_tokens",
)


def long_prompts(rows: pl.DataFrame, settings: RecommendationSettings) -> Iterator[Question]:
    """One question per team and feature whose input per request stands above the other teams' there. ``rows`` are priced.

    Teams are compared, never persons. The answer is asked for input like the peers' median, upper and lower quartile.
    """
    chats = rows.filter((pl.col("primitive") == "ai.chat") & pl.col("feature_id").is_not_null() & (pl.col("input_tokens") > 0))
    for (feature,), used in chats.group_by("feature_id", maintain_order=True):
        teams = used.group_by("team_id", maintain_order=True).agg(pl.col("input_tokens", "requests_count").sum())
        counted = teams.filter(pl.col("requests_count") >= settings.peer_requests)
        measured = {team: tokens / requests for team, tokens, requests in counted.iter_rows()}
        for team, own in measured.items():
            peers = peers_of(team, measured, minimum=settings.minimum_peers)
            if peers and own > peers.middle * (1 + float(settings.prompt_excess_ratio)) and own > peers.upper:
                yield _question(used.filter(pl.col("team_id") == team), str(feature), team, own, peers)


def scaled_input(rows: pl.DataFrame, share: float) -> pl.DataFrame:
    """The rows with every part of their input at ``share`` of what it is, rounded up to whole tokens."""
    return rows.with_columns((pl.col(name) * share).ceil().cast(pl.Int64).alias(name) for name in INPUT_PARTS)


def _question(rows: pl.DataFrame, feature: str, team: str, own: float, peers: Peers) -> Question:
    tokens, requests = int(rows["input_tokens"].sum()), int(rows["requests_count"].sum())
    case = Case(
        recommendation_kind="prompt_efficiency",
        scope_kind="team",
        scope_id=team,
        feature_id=feature,
        model_id=None,
        target_model_id=None,
        target_processing=None,
        difficulty="medium",
        basis="peers",
        choice=f"prompts:{team}:{feature}",
        whole_count=tokens,
        part_count=requests,
        measures={"own": f"{own:,.0f}", "peers": f"{peers.middle:,.0f}", "peers_count": str(peers.members_count)},
    )
    variants = {"expected": peers.middle, "lower": peers.upper, "upper": peers.lower}
    asked = [asks(scaled_input(rows, like / own), variant=name) for name, like in variants.items()]
    return Question(case, pl.concat(asked))
