"""Writes one staged usage day for benchmarks: people who keep to two models and seven hours, 3 % re-delivered rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from usage_etl.config.contract_files import CONTRACT_COLUMNS
from usage_etl.events import Directories
from usage_etl.pricing import ListPrices, ModelCatalog, price_book
from usage_etl.schemas import DIM_API_KEY, DIM_FEATURE, DIM_INVESTIGATION, DIM_PROJECT, DIM_TEAM, DIM_USER, STAGED_USAGE, Table

DAY = dt.date(2026, 11, 3)
DUPLICATE_SHARE = 0.03
MODELS = (
    ("openai", "gpt-5.2"), ("openai", "gpt-5-mini"), ("openai", "gpt-5.4"), ("openai", "text-embedding-3-small"),
    ("anthropic", "claude-sonnet-4-6"), ("anthropic", "claude-opus-4-6"), ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-2.5-pro"), ("gemini", "gemini-2.5-flash"), ("mistral", "mistral-large-latest"),
    ("openai", "internal-llama-ft"),
)  # fmt: skip


TEAMS_COUNT, KEYS_COUNT, FEATURES_COUNT = 40, 200, 30


@dataclass(frozen=True)
class Reference:
    """Prices, models and owners that every engine is given."""

    book: pl.DataFrame
    models: pl.DataFrame
    directories: Directories


def reference_tables(*, users_count: int = 2900) -> Reference:
    """The bundled price book and directories that know most users: 100 of 3,000 are owned by their key."""
    pairs = pl.DataFrame(MODELS, schema=["host_raw", "model_raw"], orient="row")
    contract = pl.DataFrame(schema=dict.fromkeys(CONTRACT_COLUMNS, pl.String))

    def dated(table: Table, rows: list[dict[str, str]]) -> pl.DataFrame:
        schema = table.polars_schema
        complete = [{name: row.get(name) for name in schema} | {"valid_from": dt.date(2026, 1, 1)} for row in rows]
        return pl.DataFrame(complete, schema=schema, orient="row")

    teams = [
        {"team_id": f"team-{n}", "department_id": f"dep-{n % 5}", "cost_center_id": f"cc-{n % 9}"} for n in range(TEAMS_COUNT)
    ]
    directories = Directories(
        users=dated(DIM_USER, [{"user_id": f"user-{n}", "team_id": f"team-{n % TEAMS_COUNT}"} for n in range(users_count)]),
        teams=dated(DIM_TEAM, teams),
        api_keys=dated(
            DIM_API_KEY, [{"api_key_id": f"key-{n}", "team_id": f"team-{n % TEAMS_COUNT}"} for n in range(KEYS_COUNT)]
        ),
        features=dated(
            DIM_FEATURE, [{"feature_id": f"feature-{n}", "product_id": f"product-{n % 7}"} for n in range(FEATURES_COUNT)]
        ),
        projects=dated(DIM_PROJECT, []),
        investigations=dated(DIM_INVESTIGATION, []),
    )
    return Reference(price_book(ListPrices.bundled(), contract), ModelCatalog().resolve(pairs), directories)


def write_staged_day(target: Path, *, rows_count: int, users_count: int = 3000, seed: int = 7) -> None:
    """One Parquet file in the shape of STAGED_USAGE with ``rows_count`` rows, of which 3 % repeat an earlier event."""
    originals = int(rows_count / (1 + DUPLICATE_SHARE))
    number = pl.int_range(rows_count, eager=True).alias("n").to_frame().lazy()

    def draw(salt: int, upper: int) -> pl.Expr:
        return (pl.col("event_number").hash(seed * 100 + salt) % upper).cast(pl.Int64)

    start = dt.datetime.combine(DAY, dt.time(), tzinfo=dt.UTC)
    user = draw(2, users_count)
    model = (user * 7 + (draw(1, 10) > 7).cast(pl.Int64) * 3) % len(MODELS)
    working_hours = (user % 17) * 3_600_000_000 + draw(3, 7 * 3_600_000_000)
    frame = number.with_columns(
        event_number=pl.when(pl.col("n") < originals).then("n").otherwise(pl.col("n") - originals)
    ).select(
        source=pl.lit("gateway"),
        source_account=pl.lit("default"),
        source_role=pl.lit("usage"),
        delivery_id=pl.when(pl.col("n") < originals).then(pl.lit("delivery-1")).otherwise(pl.lit("delivery-2")),
        delivery_sequence=pl.when(pl.col("n") < originals).then(1).otherwise(2).cast(pl.Int64),
        raw_ordinal=pl.col("n") + 1,
        event_id=pl.format("chatcmpl-{}", pl.col("event_number").hash(seed)),
        call_id=pl.lit(None, pl.String),
        record_version_at=pl.lit(start),
        usage_date=pl.lit(DAY),
        started_at=pl.lit(start) + pl.duration(microseconds=working_hours),
        ended_at=pl.lit(None, pl.Datetime("us", "UTC")),
        grain=pl.lit("request"),
        requests_count=pl.lit(1, pl.Int64),
        status=pl.when(draw(4, 50) == 0).then(pl.lit("error")).otherwise(pl.lit("success")),
        http_status=pl.lit(200, pl.Int64),
        error_type=pl.lit(None, pl.String),
        token_convention=pl.lit("cache_in_input"),
        reported_input_tokens=2000 + draw(5, 6000),
        reported_output_tokens=draw(6, 900),
        reported_total_tokens=pl.lit(None, pl.Int64),
        cache_read_tokens=draw(7, 1500),
        cache_write_tokens=draw(8, 400),
        cache_write_1h_tokens=pl.lit(0, pl.Int64),
        reasoning_tokens=pl.lit(0, pl.Int64),
        primitive=pl.lit("ai.chat"),
        host_raw=model.replace_strict(dict(enumerate(host for host, _ in MODELS)), return_dtype=pl.String),
        model_raw=model.replace_strict(dict(enumerate(name for _, name in MODELS)), return_dtype=pl.String),
        deployment=pl.lit(None, pl.String),
        region=pl.lit(None, pl.String),
        processing=pl.when(user % 20 == 0).then(pl.lit("batch")).otherwise(pl.lit("standard")),
        is_cache_hit=draw(10, 60) == 0,
        user_id=pl.format("user-{}", user),
        team_id=pl.format("team-{}", user % TEAMS_COUNT),
        api_key_id=pl.format("key-{}", user % KEYS_COUNT),
        project_id=pl.lit(None, pl.String),
        investigation_id=pl.lit(None, pl.String),
        feature_id=pl.format("feature-{}", user % FEATURES_COUNT),
        session_id=pl.lit(None, pl.String),
        end_user_id=pl.lit(None, pl.String),
        tag_set=pl.when(user % 5 == 0).then(pl.lit("env=test")).otherwise(pl.lit("env=prod")),
        latency_ms=200 + draw(12, 9000),
        ttft_ms=pl.lit(None, pl.Int64),
        source_cost_usd=pl.lit(0.01),
    )
    given = frame.collect_schema()
    silent = {name: pl.lit(None, dtype) for name, dtype in STAGED_USAGE.polars_schema.items() if name not in given}
    STAGED_USAGE.conform(frame.with_columns(**silent)).sink_parquet(target, row_group_size=250_000)
