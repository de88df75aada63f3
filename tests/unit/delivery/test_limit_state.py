"""The limit-state file: canonical, signed, numbered upwards; the verifier of the documentation takes it and no other."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from usage_etl.delivery.limit_book import next_sequence
from usage_etl.delivery.limit_state import LIMIT_STATE_KEY, canonical, limit_state_document, signed, write_limit_state
from usage_etl.errors import IntegrityError
from usage_etl.lake import open_store
from usage_etl.schemas.limits import Refusal

NOW = dt.datetime(2026, 11, 20, 6, 40, tzinfo=dt.UTC)
KEY = "a signing key that nobody knows"
PAGE = Path(__file__).parents[3] / "docs" / "quotas.md"
REFUSED = Refusal(
    "user", 'ädä "x" \u20ac', "user:ädä:inference_tokens:calendar_month:hard", "inference_tokens", "calendar_month",
    dt.date(2026, 11, 1), dt.date(2026, 11, 30), Decimal("5E+6"), Decimal("12345678901234567890.5"), None,
)  # fmt: skip


def document(sequence: int = 42, *, valid_until: dt.datetime = NOW + dt.timedelta(hours=50)) -> dict[str, Any]:
    return limit_state_document(
        [REFUSED], sequence=sequence, organization_id="acme", issued_at=NOW, valid_until=valid_until,
        data_through=dt.date(2026, 11, 19), key_id="1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def verified() -> Callable[..., dict[str, Any]]:
    """The verifier as the documentation prints it."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    function = code[1].split("\n\n\n")[1]
    assert len(function.strip().splitlines()) <= 15
    names: dict[str, Any] = {}
    exec(code[1], names)
    return names["verified"]  # type: ignore[no-any-return]


def test_the_documented_verifier_takes_the_file(verified: Callable[..., dict[str, Any]]) -> None:
    found = verified(signed(document(), KEY), KEY, seen_sequence=42, now=NOW)
    assert found == document()
    assert found["refused"][0]["limit_quantity"] == "5000000"
    assert found["refused"][0]["used_quantity"] == "12345678901234567890.5"


def test_the_file_is_canonical_json_without_numbers_that_could_become_fractions() -> None:
    content = signed(document(), KEY)
    read = json.loads(content)
    assert content == canonical(read)
    assert list(read) == sorted(read)
    assert {type(value) for value in read.values()} <= {str, int, list}
    assert {type(value) for value in read["refused"][0].values()} <= {str, type(None)}


@pytest.mark.parametrize(
    ("content", "seen", "now", "fault"),
    [
        (signed(document(), "another key"), 0, NOW, "not signed"),
        (signed(document(), KEY).replace(b'"sequence":42', b'"sequence":43'), 0, NOW, "not signed"),
        (signed(document(), KEY).replace(b"5000000", b"9000000"), 0, NOW, "not signed"),
        (signed({**document(), "schema_version": 2}, KEY), 0, NOW, "another version"),
        (signed(document(41), KEY), 42, NOW, "older than one seen"),
        (signed(document(), KEY), 0, NOW + dt.timedelta(hours=51), "too old"),
    ],
)
def test_the_documented_verifier_refuses_anything_else(
    verified: Callable[..., dict[str, Any]], content: bytes, seen: int, now: dt.datetime, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        verified(content, KEY, seen_sequence=seen, now=now)


def test_a_later_file_is_never_replaced_by_an_earlier_one(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    assert write_limit_state(store, signed(document(7), KEY), sequence=7, lock=contextlib.nullcontext())
    assert not write_limit_state(store, signed(document(6), KEY), sequence=6, lock=contextlib.nullcontext())
    assert json.loads(store.read(LIMIT_STATE_KEY))["sequence"] == 7
    assert write_limit_state(store, signed(document(8), KEY), sequence=8, lock=contextlib.nullcontext())


def test_what_is_no_limit_state_is_not_overwritten(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    store.write(LIMIT_STATE_KEY, b"something else")
    with pytest.raises(IntegrityError, match="a limit-state file"):
        write_limit_state(store, signed(document(1), KEY), sequence=1, lock=contextlib.nullcontext())


def test_numbers_go_up_and_are_given_out_once_to_everybody(engine: sa.Engine) -> None:
    found: list[int] = []

    def take() -> None:
        found.extend(next_sequence(engine, issued_at=NOW, content=lambda number: (f"{number:064d}", 0)) for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 21))
