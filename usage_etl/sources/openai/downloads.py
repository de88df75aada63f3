"""Downloads of OpenAI's dashboard: flat tables whose rows are results of the API's reports, with their bucket beside.

Columns are those of the API, with ``amount_value`` and ``amount_currency`` for its amount, ``*_iso`` times and names. A
bucket without usage is a row with its times only. A download of nothing but such buckets has no other column at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usage_etl.sources.forms.report_downloads import Download, Downloads, Row
from usage_etl.sources.openai.costs import COSTS, COSTS_OBJECT
from usage_etl.sources.openai.usage import USAGE_REPORTS, UsageReport
from usage_etl.sources.reading.exact_json import JsonNumber

_BUCKET_COLUMNS = frozenset({"start_time", "end_time", "start_time_iso", "end_time_iso"})
_ACCOUNT_COLUMNS = frozenset({"organization_id", "organization_name", "project_name", "user_email"})

_TELLING: Mapping[str, tuple[frozenset[str], str | None]] = {
    "usage_completions": (frozenset({"input_tokens", "output_tokens"}), None),
    "usage_images": (frozenset({"images"}), None),
    "usage_audio_speeches": (frozenset({"characters"}), None),
    "usage_audio_transcriptions": (frozenset({"seconds"}), None),
    "usage_vector_stores": (frozenset({"usage_bytes"}), None),
    "usage_code_interpreter_sessions": (frozenset({"num_sessions"}), None),
    "usage_web_search_calls": (frozenset({"num_requests", "num_model_requests"}), None),
    "usage_file_search_calls": (frozenset({"num_requests"}), None),
    "usage_embeddings": (frozenset({"input_tokens", "num_model_requests"}), "embedding"),
    "usage_moderations": (frozenset({"input_tokens", "num_model_requests"}), "moderation"),
}
"""Dataset to the columns that tell its download, the first that fits wins; and, where two have the same columns, the word
that the names of its models hold. Decisions cannot be told from completions and are read as such."""


def _amount(row: Row) -> dict[str, Any]:
    """A result of the costs report. Amounts are printed floats and decimals: their digits are read like a JSON number's."""
    plain = {name: cell for name, cell in row.items() if name not in _BUCKET_COLUMNS | {"amount_value", "amount_currency"}}
    value = row.get("amount_value")
    money = {"value": None if value is None else JsonNumber(value), "currency": row.get("amount_currency")}
    return {"object": COSTS_OBJECT, "amount": money, **plain}


def _usage(kind: UsageReport) -> Download:
    columns, word = _TELLING[kind.dataset]

    def result(row: Row) -> dict[str, Any]:
        plain = {name: cell for name, cell in row.items() if name not in _BUCKET_COLUMNS | _ACCOUNT_COLUMNS}
        return {"object": kind.object_name, **plain}

    return Download(kind.dataset, columns, result, telling=None if word is None else ("model", word))


def _bucket(row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in ("start_time", "end_time")}


_USAGE = {kind.dataset: kind for kind in USAGE_REPORTS}

DOWNLOADS = Downloads(
    title="a download of the OpenAI dashboard",
    bucket_columns=_BUCKET_COLUMNS,
    bucket=_bucket,
    kinds=(
        Download(COSTS, frozenset({"amount_value"}), _amount),
        *(_usage(_USAGE[dataset]) for dataset in _TELLING),
    ),
)
