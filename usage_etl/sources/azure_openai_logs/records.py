"""Records of the three logs as flat text: the same field has other names and places in each way to export it.

Diagnostic settings write an envelope with ``properties`` (an object, or JSON in text); the export of a Log Analytics
workspace writes the table's columns. Messages, and request and response bodies, are not among the fields.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.sources.reading.records import RecordShape

LLM, GATEWAY, REQUEST = "llm", "gateway", "request"
"""Kinds of record that are read."""

KIND = "kind"

CATEGORIES: Mapping[str, str] = {
    "gatewayllmlogs": LLM,
    "apimanagementgatewayllmlog": LLM,
    "gatewaylogs": GATEWAY,
    "apimanagementgatewaylogs": GATEWAY,
    "requestresponse": REQUEST,
}
"""Category of a diagnostic log, or name of its table, in small letters, to kind. Others are known by having one."""


def _either(name: str) -> tuple[tuple[str, ...], ...]:
    """A property in the envelope's spelling and in the table's, wherever either may stand."""
    column = name[0].upper() + name[1:]
    return (("properties", name), ("properties", column), (name,), (column,))


PLACES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "category": (("category",), ("Category",), ("Type",)),
    "time": (("time",), ("TimeGenerated",)),
    "callerIpAddress": (("callerIpAddress",), ("CallerIpAddress",)),
    "durationMs": (("durationMs",), ("DurationMs",), ("TotalTime",)),
    "resultSignature": (("resultSignature",), ("ResultSignature",)),
    "isRequestSuccess": (("isRequestSuccess",), ("IsRequestSuccess",)),
    "lastErrorReason": (("properties", "lastError", "reason"), ("properties", "lastErrorReason"), ("LastErrorReason",)),
    "modelDeploymentName": (("properties", "modelDeploymentName"), ("ModelDeploymentName",)),
    "modelVersion": (("properties", "modelVersion"), ("ModelVersion",)),
    "objectId": (("properties", "objectId"), ("ObjectId",)),
    "requestTime": (("properties", "requestTime"), ("RequestTime",)),
    **{
        name: _either(name)
        for name in (
            "correlationId", "operationName", "sequenceNumber", "modelName", "deploymentName", "requestId", "promptTokens",
            "completionTokens", "totalTokens", "promptCachedTokens", "responseCode", "apimSubscriptionId", "userId", "productId",
            "apiId", "backendUrl", "cache",
        )
    },
}  # fmt: skip
"""Field to its places; the first that a record has is read."""


def _column(name: str, at: int) -> str:
    return f"{name} {at}"


SHAPE = RecordShape(
    fields={_column(name, at): path for name, paths in PLACES.items() for at, path in enumerate(paths)}, opened=("properties",)
)
"""A record of any of the logs."""


def named(flat: pl.DataFrame) -> pl.DataFrame:
    """Flat records in the columns of ``PLACES``, empty text null, with the ``KIND`` of each: null for other categories."""
    found = [_first_text(flat, name, len(paths)) for name, paths in PLACES.items()]
    kind = pl.col("category").str.to_lowercase().replace_strict(CATEGORIES, default=None, return_dtype=pl.String)
    return flat.select("raw_ordinal", *found).with_columns(kind.alias(KIND))


def _first_text(flat: pl.DataFrame, name: str, places_count: int) -> pl.Expr:
    """The first place of a field that a record has; places that none of the records has cost nothing."""
    columns = [_column(name, at) for at in range(places_count)]
    texts = [pl.when(pl.col(column) != "").then(column) for column in columns if flat[column].null_count() < flat.height]
    return (pl.coalesce(texts) if texts else pl.lit(None, pl.String)).alias(name)
