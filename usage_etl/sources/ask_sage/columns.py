"""How Ask Sage names the columns of its exports and the fields of its answers."""

from __future__ import annotations

from collections.abc import Mapping

LOG: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "log id", "log_id", "log ID"),
    "user": ("user", "username", "user name", "user_name", "email", "user email", "user_email"),
    "user_number": ("user id", "user_id", "userid"),
    "date_time": ("date_time", "date time", "date/time", "datetime", "timestamp", "created_at", "time"),
    "date": ("date",),
    "clock": ("time of day", "clock"),
    "interaction": ("type", "interaction type", "interaction_type", "interaction", "action", "app_name"),
    "model": ("model", "model used", "model_used"),
    "prompt_tokens": ("prompt tokens", "prompt_tokens"),
    "completion_tokens": ("completion tokens", "completion_tokens"),
    "total_tokens": ("total tokens", "total_tokens"),
    "training": ("training", "teach", "is_training", "training flag"),
}
"""Field of the activity log to its spellings; letter case does not matter in tables."""

PROMPT: Mapping[str, tuple[str, ...]] = {"prompt": ("prompt", "prompt text", "message")}
ADDRESS: Mapping[str, tuple[str, ...]] = {"ip": ("ip", "ip address", "ip_address", "ip addr")}
"""Read only where the settings say so."""

MONTHLY: Mapping[str, tuple[str, ...]] = {
    "period": ("period", "month", "year-month", "year_month", "date", "year/month"),
    "year": ("year",),
    "inference": ("inference tokens", "inference_tokens", "total inference tokens", "inference", "tokens"),
    "embedding": (
        "embedding tokens", "embedding_tokens", "total embedding tokens", "embedding", "training tokens", "teach tokens",
    ),
}  # fmt: skip
"""Field of the monthly token table to its spellings."""

ALLOCATION = ("max inference tokens", "max embedding tokens", "max_inference_tokens", "max_tokens", "max tokens")
"""Columns that only the list of users has: what a user may use, not what anybody used."""

USER_LIST = frozenset({"email", "role", "first name", "last name", "first_name", "last_name", "is_active", "status"})
"""Columns of the list of users without tokens."""

TEXTS_OF_PEOPLE = frozenset({"prompt", "message", "response", "completion", "answer", "references", "memory"})
"""Fields of an answer that hold what people wrote and read."""
