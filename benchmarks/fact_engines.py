"""The same fact build in DuckDB, in our shape and in the usual one, and in pandas. Money is exact decimal in DuckDB.

pandas has no fast decimals: it multiplies whole tokens by whole pico-dollars per token, which is exact here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.staged_days import DAY, Reference

THREADS = 2
_KEYS = (
    "source, source_account, user_id, team_id, api_key_id, project_id, investigation_id, feature_id, tag_set, primitive, "
    "host_raw, model_raw, processing, status, grain"
)
_OUT_KEYS = (
    "source, source_account, department_id, team_id, cost_center_id, user_id, api_key_id, project_id, investigation_id, "
    "product_id, feature_id, tag_set, primitive, provider, host, model_id, processing, status, price_id, price_status"
)
_TOKENS = "input_uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens"
_RATES = "input_uncached_per_mtok", "cache_read_per_mtok", "cache_write_5m_per_mtok", "cache_write_1h_per_mtok", "output_per_mtok"
_SUMS = (
    "sum(requests_count)::BIGINT requests_count, sum(errors_count)::BIGINT errors_count, sum(cache_hits_count)::BIGINT "
    "cache_hits_count, " + ", ".join(f"sum({name})::BIGINT {name}" for name in _TOKENS) + ", sum(reasoning_tokens)::BIGINT "
    "reasoning_tokens, sum(usage_missing_count)::BIGINT usage_missing_count, sum(latency_ms_sum)::BIGINT latency_ms_sum, "
    "sum(latency_count)::BIGINT latency_count"
)
_NORMAL = """
    date_trunc('hour', started_at) hour_start_at, requests_count,
    CASE WHEN status = 'error' THEN requests_count ELSE 0 END errors_count,
    CASE WHEN is_cache_hit THEN requests_count ELSE 0 END cache_hits_count,
    coalesce(reported_input_tokens, 0) - coalesce(cache_read_tokens, 0) - coalesce(cache_write_tokens, 0) input_uncached_tokens,
    coalesce(cache_read_tokens, 0) cache_read_tokens,
    coalesce(cache_write_tokens, 0) - coalesce(cache_write_1h_tokens, 0) cache_write_5m_tokens,
    coalesce(cache_write_1h_tokens, 0) cache_write_1h_tokens,
    coalesce(reported_output_tokens, 0) output_tokens, coalesce(reasoning_tokens, 0) reasoning_tokens,
    0 usage_missing_count, coalesce(latency_ms, 0) latency_ms_sum, CASE WHEN latency_ms IS NULL THEN 0 ELSE 1 END latency_count,
    CASE WHEN is_cache_hit THEN 'free' ELSE 'rate' END rating, coalesce(reported_output_tokens, 0) > 0 has_output
"""
_OWNED = """
    LEFT JOIN users ON users.user_id = rated.user_id LEFT JOIN api_keys ON api_keys.api_key_id = rated.api_key_id
    LEFT JOIN teams logged ON logged.team_id = rated.team_id
    LEFT JOIN teams ON teams.team_id = coalesce(users.team_id, api_keys.team_id, logged.team_id)
    LEFT JOIN features ON features.feature_id = rated.feature_id
"""
_OWNER_COLUMNS = """
    coalesce(teams.department_id, 'unallocated') department_id, coalesce(teams.team_id, 'unallocated') team_id,
    coalesce(teams.cost_center_id, 'unallocated') cost_center_id, features.product_id
"""


_PLACE = (
    "row_number() OVER (PARTITION BY source, source_account, event_id "
    "ORDER BY record_version_at DESC NULLS LAST, delivery_sequence DESC, raw_ordinal DESC)"
)
_TERMS = " + ".join(
    f"CASE WHEN requests.{token} > 0 THEN requests.{token} * prices.{rate} ELSE 0 END"
    for token, rate in zip(_TOKENS, _RATES, strict=True)
)
_AMOUNT = f"CASE WHEN rating = 'free' THEN 0 ELSE ({_TERMS}) * 0.000001::DECIMAL(18, 6) END::DECIMAL(38, 18)"


def _prices(reference: Reference) -> pl.DataFrame:
    """One row per logged model and processing class: names and rates of the base band, which all benchmark rows are in."""
    from usage_etl.pricing import day_prices  # noqa: PLC0415 - shared with ours, outside the measured time

    prices = day_prices(reference.book, reference.models, day=DAY)
    slots = prices.slots.filter(pl.col("band_slot") == 0)
    classes = pl.DataFrame({"processing": ["standard", "batch"]})
    asked = prices.models.join(classes, how="cross")
    rated = asked.join(slots.cast({"processing": pl.String}), on=["price_provider", "price_model", "processing"], how="left")
    wanted = rated.select("host_raw", "model_raw", "processing", "provider", "host", "model_id", "price_id", *_RATES)
    return wanted.with_columns(pl.col(_RATES).cast(pl.Decimal(18, 6)))


def _connect(reference: Reference) -> Any:
    import duckdb  # noqa: PLC0415 - only these engines' processes load it

    connection = duckdb.connect()
    connection.execute(f"SET threads = {THREADS}")
    owners = reference.directories.on(DAY)
    tables = {"prices": _prices(reference), "users": owners.users, "teams": owners.teams, "api_keys": owners.api_keys}
    for name, frame in {**tables, "features": owners.features}.items():
        connection.register("incoming", frame.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return connection


def duckdb_same(file: Path, out: Path, reference: Reference) -> Callable[[], None]:
    """Our shape: find repeated ids, drop the losers, group, then price and own the groups."""
    connection = _connect(reference)
    first = f"""
    staged AS (SELECT *, file_row_number FROM read_parquet('{file}', file_row_number = true)),
    repeated AS (SELECT hash(event_id) h FROM staged GROUP BY h HAVING count(*) > 1),
    ranked AS (SELECT file_row_number, {_PLACE} place FROM staged WHERE hash(event_id) IN (SELECT h FROM repeated)),
    kept AS (SELECT * FROM staged WHERE source_role = 'usage'
        AND file_row_number NOT IN (SELECT file_row_number FROM ranked WHERE place > 1)),
    requests AS (SELECT hour_start_at, {_KEYS}, rating, has_output, {_SUMS}
        FROM (SELECT {_KEYS}, {_NORMAL} FROM kept) GROUP BY ALL)"""
    return lambda: connection.execute(_facts_sql(first, out))


def duckdb_usual(file: Path, out: Path, reference: Reference) -> Callable[[], None]:
    """What is usually written: rank every row, price and own row by row, then group."""
    connection = _connect(reference)
    first = f"""
    requests AS (SELECT {_KEYS}, {_NORMAL} FROM read_parquet('{file}') WHERE source_role = 'usage' QUALIFY {_PLACE} = 1)"""
    return lambda: connection.execute(_facts_sql(first, out))


def _facts_sql(requests: str, out: Path) -> str:
    """Rates, owns, groups and writes ``requests``, whether they are single rows or groups already."""
    return f"""
    COPY (WITH {requests},
    rated AS (SELECT requests.*, provider, host, model_id, {_AMOUNT} effective_cost,
        CASE WHEN rating = 'rate' AND effective_cost IS NOT NULL THEN price_id END price_id,
        CASE WHEN rating = 'free' THEN 'free' WHEN effective_cost IS NULL THEN 'unpriced' ELSE 'priced' END price_status
        FROM requests LEFT JOIN prices ON prices.host_raw = requests.host_raw AND prices.model_raw = requests.model_raw
        AND prices.processing = requests.processing),
    owned AS (SELECT rated.* EXCLUDE (team_id), {_OWNER_COLUMNS} FROM rated {_OWNED})
    SELECT hour_start_at, {_OUT_KEYS}, {_SUMS}, sum(effective_cost) effective_cost FROM owned
    GROUP BY hour_start_at, {_OUT_KEYS} ORDER BY hour_start_at, {_OUT_KEYS})
    TO '{out}' (FORMAT parquet, COMPRESSION zstd)"""


def pandas_usual(file: Path, out: Path, reference: Reference) -> Callable[[], None]:
    """The usual pandas: sort and drop duplicates, merge prices and owners row by row, multiply, group."""
    import pandas as pd  # noqa: PLC0415 - only this engine's process loads it

    owners = reference.directories.on(DAY)
    micro = pl.col(_RATES).cast(pl.Decimal(38, 6)) * 1_000_000
    prices = _prices(reference).with_columns(micro.cast(pl.Int64)).to_pandas()
    users = owners.users.select("user_id", user_team_id="team_id").to_pandas()
    keys = owners.api_keys.select("api_key_id", key_team_id="team_id").to_pandas()
    teams = owners.teams.select("team_id", "department_id", "cost_center_id").to_pandas()
    features = owners.features.select("feature_id", "product_id").to_pandas()
    names = [name.strip() for name in _KEYS.split(",")]
    read = [*names, "event_id", "record_version_at", "delivery_sequence", "raw_ordinal", "started_at", "requests_count",
            "is_cache_hit", "reported_input_tokens", "reported_output_tokens", "cache_read_tokens", "cache_write_tokens",
            "cache_write_1h_tokens", "reasoning_tokens", "latency_ms", "source_role"]  # fmt: skip

    def build() -> None:
        rows = pd.read_parquet(file, columns=read)
        rows = rows[rows["source_role"] == "usage"].sort_values(["record_version_at", "delivery_sequence", "raw_ordinal"])
        rows = rows.drop_duplicates(["source", "source_account", "event_id"], keep="last")
        rows["hour_start_at"] = rows["started_at"].dt.floor("h")
        rows["errors_count"] = rows["requests_count"].where(rows["status"] == "error", 0)
        rows["cache_hits_count"] = rows["requests_count"].where(rows["is_cache_hit"], 0)
        rows["input_uncached_tokens"] = rows["reported_input_tokens"] - rows["cache_read_tokens"] - rows["cache_write_tokens"]
        rows["cache_write_5m_tokens"] = rows["cache_write_tokens"] - rows["cache_write_1h_tokens"]
        rows = rows.rename(columns={"reported_output_tokens": "output_tokens", "latency_ms": "latency_ms_sum"})
        rows["latency_count"] = rows["latency_ms_sum"].notna().astype("int64")
        rows["usage_missing_count"] = 0
        text = [name for name in names if rows[name].dtype == "category"]
        rows[text] = rows[text].astype("str").replace("nan", None)
        rows = rows.merge(prices, on=["host_raw", "model_raw", "processing"], how="left")
        pico = sum(rows[token] * rows[rate].fillna(0) for token, rate in zip(_TOKENS, _RATES, strict=True))
        is_priced = rows["price_id"].notna() & ~rows["is_cache_hit"]
        for token, rate in zip(_TOKENS, _RATES, strict=True):
            is_priced &= rows[rate].notna() | (rows[token] == 0)
        rows["pico_dollars"] = pico.where(is_priced, 0).astype("int64")
        rows["price_status"] = "unpriced"
        rows.loc[is_priced, "price_status"] = "priced"
        rows.loc[rows["is_cache_hit"], "price_status"] = "free"
        rows["price_id"] = rows["price_id"].where(is_priced)
        rows = rows.merge(users, on="user_id", how="left").merge(keys, on="api_key_id", how="left")
        rows["team_id"] = rows["user_team_id"].fillna(rows["key_team_id"]).fillna(rows["team_id"])
        rows = rows.merge(teams, on="team_id", how="left").merge(features, on="feature_id", how="left")
        rows[["department_id", "cost_center_id"]] = rows[["department_id", "cost_center_id"]].fillna("unallocated")
        by = ["hour_start_at", *(name.strip() for name in _OUT_KEYS.split(","))]
        measures = ["requests_count", "errors_count", "cache_hits_count", *_TOKENS, "reasoning_tokens", "usage_missing_count",
                    "latency_ms_sum", "latency_count", "pico_dollars"]  # fmt: skip
        facts = rows.groupby(by, dropna=False, observed=True)[measures].sum().reset_index().sort_values(by)
        exact = pl.from_pandas(facts).with_columns(
            effective_cost=pl.when(pl.col("price_status") != "unpriced").then(
                pl.col("pico_dollars").cast(pl.Decimal(38, 12)) * pl.lit("0.000000000001").cast(pl.Decimal(38, 12))
            )
        )
        exact.write_parquet(out)

    return build
