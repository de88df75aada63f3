"""Reads ``outcomes.csv`` of the directory folder: what features and teams brought about, month by month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.config.cells import Row, frame_of, read_text_rows, typed_rows
from usage_etl.config.finance_files import parse_month
from usage_etl.schemas.economics import DIM_OUTCOME
from usage_etl.units import UNALLOCATED

OUTCOMES_FILE = "outcomes.csv"
_OPTIONAL = ("feature_id", "team_id", "value_per_outcome", "currency")


def read_outcomes(folder: Path, problems: list[str], *, features: Collection[str], teams: Collection[str]) -> pl.DataFrame:
    """DIM_OUTCOME of the folder's file; every fault is added to ``problems``. A missing file holds no rows.

    A feature or team that is not among ``features`` and ``teams``, the members of those directories, is a fault.
    """
    texts = read_text_rows(folder / OUTCOMES_FILE, tuple(DIM_OUTCOME.columns), problems, optional=_OPTIONAL)
    parsers = {"month": parse_month, "outcomes_count": _whole_number}
    rows = typed_rows(texts, DIM_OUTCOME, OUTCOMES_FILE, problems, parsers=parsers).rows
    known = {"feature_id": features, "team_id": teams}
    for row in rows:
        problems += [f"{row.place}: {fault}" for fault in _row_faults(row.cells, known)]
    problems += _repeated(rows)
    return frame_of(rows, DIM_OUTCOME)


def _whole_number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _row_faults(cells: Mapping[str, Any], known: Mapping[str, Collection[str]]) -> Iterator[str]:
    named = [name for name in known if cells[name] is not None]
    if len(named) != 1:
        yield f"names {' and '.join(named) or 'neither feature_id nor team_id'}; an outcome is of one of them"
    for name in named:
        if cells[name] == UNALLOCATED or cells[name] not in known[name]:
            file = "features.csv" if name == "feature_id" else "teams.csv"
            yield f"{name.removesuffix('_id')} {cells[name]} is not in {file}"
    if (cells["value_per_outcome"] is None) != (cells["currency"] is None):
        yield "has only one of value_per_outcome and currency; a value needs its currency"


def _repeated(rows: list[Row]) -> Iterator[str]:
    places: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        places[tuple(row.cells[name] for name in ("feature_id", "team_id", "month", "outcome_name"))].append(row)
    for (feature, team, month, name), found in places.items():
        if len(found) > 1:
            others = " and ".join(row.place for row in found[1:])
            yield f"{found[0].place}: {name} of {feature or team} in {month:%Y-%m} stands again in {others}"
