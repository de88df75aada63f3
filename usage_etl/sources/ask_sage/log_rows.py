"""Ask Sage's activity log to staged usage rows.

``Total Tokens`` is not the sum of prompt and completion: it is the bill in Ask Sage's own tokens, which depend on the model.
It stands in ``native_quantity`` and is never added to tokens.
"""

from __future__ import annotations

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.sources.ask_sage.settings import AskSageSettings
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.event_ids import EventIds
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, id_rules, instant_rules, request_columns, value, word
from usage_etl.sources.rows.request_words import is_true
from usage_etl.sources.rows.typed_text import INSTANT_FORMATS

NATIVE_UNIT = "asksage_tokens"

FIELDS = (
    "id", "user", "user_number", "date_time", "date", "clock", "interaction", "model", "prompt_tokens", "completion_tokens",
    "total_tokens", "training", "prompt", "ip",
)  # fmt: skip
"""Fields of the log; those that the settings leave out are null."""

_SPELLINGS = (
    *INSTANT_FORMATS,
    "%m/%d/%Y, %I:%M:%S %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%b %d, %Y, %I:%M:%S %p",
)
_IDENTITY = ("user", "user_number", "date_time", "model", "prompt_tokens", "completion_tokens", "total_tokens")


def log_mapping(settings: AskSageSettings) -> RowMapping:
    """Rows of the log to rows of STAGED_USAGE. One without an id is known by user, time, model and tokens."""
    ids = EventIds()

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        absent = [pl.lit(None, pl.String).alias(name) for name in FIELDS if name not in flat.columns]
        apart = pl.concat_str([pl.col("date"), pl.col("clock")], separator=" ")
        whole = flat.with_columns(absent).with_columns(pl.coalesce(word("date_time"), apart).alias("date_time"))
        plain = whole.with_columns(_plain_count(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
        if not plain["id"].null_count():
            return plain
        known = ids.with_ids(plain, _IDENTITY)
        return known.with_columns(pl.coalesce(word("id"), pl.col("own_id")).alias("id"))

    return RowMapping(
        types=FieldTypes(
            counts=("prompt_tokens", "completion_tokens"),
            instants=("date_time",),
            decimals=("total_tokens",),
            spellings=_SPELLINGS,
            zone=settings.time_zone,
        ),
        columns=lambda context: _columns(settings, context),
        rules=_rules,
        prepare=prepare,
    )


def _plain_count(name: str) -> pl.Expr:
    """A count as tables show it: 4,382 is 4382."""
    is_grouped = pl.col(name).str.contains(r"^\d{1,3}(,\d{3})+$")
    return pl.when(is_grouped).then(pl.col(name).str.replace_all(",", "", literal=True)).otherwise(pl.col(name)).alias(name)


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    billed = value("total_tokens")
    return {
        **id_rules("id"),
        **instant_rules("date_time", context),
        "total_tokens__negative": billed < 0,
        "total_tokens__out_of_range": billed.abs() >= MAX_AMOUNT,
    }


def _columns(settings: AskSageSettings, context: ParseContext) -> dict[str, pl.Expr]:
    interaction = word("interaction").str.to_lowercase()
    chosen = {name.lower(): primitive for name, primitive in settings.interactions.items()}
    is_training = is_true("training").fill_null(value=False)
    trained = pl.when(is_training).then(pl.lit("ai.embed")).otherwise(pl.lit("ai.chat"))
    by_word = interaction.replace_strict(chosen, default=None, return_dtype=pl.String) if chosen else pl.lit(None, pl.String)
    user = pl.coalesce(word("user"), word("user_number"), pl.lit(settings.user_id, pl.String))
    return request_columns(value("date_time")) | {
        "source_role": pl.lit(context.role if settings.counted == "log" else "reconciliation"),
        "event_id": pl.col("id"),
        "operation_name": word("interaction"),
        "reported_input_tokens": value("prompt_tokens"),
        "reported_output_tokens": value("completion_tokens"),
        "primitive": pl.coalesce(by_word, trained),
        "native_unit": pl.when(value("total_tokens").is_not_null()).then(pl.lit(NATIVE_UNIT)),
        "native_quantity": value("total_tokens"),
        "host_raw": pl.lit("ask_sage"),
        "model_raw": word("model"),
        "user_id": user,
        "client_ip": word("ip") if settings.keep_ip_addresses else pl.lit(None, pl.String),
        "prompt_excerpt": word("prompt").str.slice(0, settings.excerpt_characters)
        if settings.keep_prompts
        else pl.lit(None, pl.String),
    }
