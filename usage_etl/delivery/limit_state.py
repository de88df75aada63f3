"""The limit-state file: which scopes a gateway should refuse now, numbered, dated and signed.

The file is canonical JSON (RFC 8785 for what stands in it: text, whole numbers, true, false, null, lists and objects with
ASCII keys). ``signature`` is the HMAC-SHA256, in hex, of the same JSON without it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from usage_etl.delivery.store import OutStore
from usage_etl.errors import IntegrityError
from usage_etl.schemas.limits import Refusal

LIMIT_STATE_KEY = "limits/limit-state.json"
"""Where it stands in the out location."""
SCHEMA_VERSION = 1


def limit_state_document(
    refused: Sequence[Refusal],
    *,
    sequence: int,
    organization_id: str,
    issued_at: dt.datetime,
    valid_until: dt.datetime,
    data_through: dt.date | None,
    key_id: str,
) -> dict[str, Any]:
    """The content of the file, not signed yet. Quantities are text, so that no reader makes floats of them."""
    return {
        "schema_version": SCHEMA_VERSION,
        "organization_id": organization_id,
        "sequence": sequence,
        "issued_at": _instant(issued_at),
        "valid_until": _instant(valid_until),
        "data_through": None if data_through is None else data_through.isoformat(),
        "key_id": key_id,
        "refused": [_refused(one) for one in refused],
    }


def _refused(one: Refusal) -> dict[str, Any]:
    return {
        "scope_kind": one.scope_kind,
        "scope_id": one.scope_id,
        "quota_id": one.quota_id,
        "measure": one.measure,
        "currency": one.currency,
        "limit_quantity": f"{one.limit_quantity.normalize():f}",
        "used_quantity": f"{one.used_quantity.normalize():f}",
        "period_start": one.period_start.isoformat(),
        "period_end": one.period_end.isoformat(),
        "reason": one.reason,
    }


def canonical(document: Mapping[str, Any]) -> bytes:
    """``document`` as canonical JSON."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def signed(document: Mapping[str, Any], key: str) -> bytes:
    """The file: ``document`` with its signature."""
    signature = hmac.new(key.encode(), canonical(document), hashlib.sha256).hexdigest()
    return canonical({**document, "signature": signature})


def write_limit_state(store: OutStore, content: bytes, *, sequence: int, lock: AbstractContextManager[object]) -> bool:
    """Writes the file unless a later one stands there already; whether it was written.

    ``lock`` keeps other publishers out. Raises IntegrityError when what stands there is no limit-state file.
    """
    with lock:
        if store.head(LIMIT_STATE_KEY) is not None and standing_sequence(store.read(LIMIT_STATE_KEY)) > sequence:
            return False
        store.write(LIMIT_STATE_KEY, content, content_type="application/json")
    return True


def standing_sequence(content: bytes) -> int:
    """The number of a published file."""
    try:
        return int(json.loads(content)["sequence"])
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(LIMIT_STATE_KEY, "content", "a limit-state file", "something else") from error


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
