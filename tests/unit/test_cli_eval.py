"""``usage-etl eval``: CSV in, CSV out, and a start without settings, sources and servers."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from usage_etl.cli.main import app
from usage_etl.errors import UsageEtlError

FIRST = dt.date(2026, 7, 1)
AS_OF = dt.date(2026, 10, 10)
DAYS = [FIRST + dt.timedelta(days=day) for day in range((AS_OF - FIRST).days + 1)]


def write(path: Path, rows: Iterable[tuple[object, ...]], header: tuple[str, ...] = ("date", "series", "value")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def forecast(history: Path) -> list[dict[str, str]]:
    out = history.with_name("out.csv")
    CliRunner().invoke(app, ["eval", "forecast", str(history), AS_OF.isoformat(), str(out)], catch_exceptions=False)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_series_is_projected_to_the_end_of_the_month(tmp_path: Path) -> None:
    rows = [(day, name, size) for day in DAYS for name, size in (("é, b", "10"), ("a", "0.5"), ("silent", "0"))]
    found = forecast(write(tmp_path / "history.csv", rows))
    assert list(found[0]) == ["series", "projected", "lower", "upper", "linear"]
    assert [row["series"] for row in found] == ["é, b", "a", "silent"]
    assert [float(row["projected"]) for row in found] == [310, 15.5, 0]
    assert [float(row["linear"]) for row in found] == [310, 15.5, 0]
    assert all(float(row["lower"]) <= float(row["projected"]) <= float(row["upper"]) for row in found)


def test_without_past_the_band_is_empty(tmp_path: Path) -> None:
    (row,) = forecast(write(tmp_path / "history.csv", [(AS_OF, "new", "3")]))
    assert (row["lower"], row["upper"]) == ("", "")


def test_days_after_the_as_of_day_change_nothing(tmp_path: Path) -> None:
    known = [(day, "a", (7 * day.day) % 11) for day in DAYS]
    later = [(AS_OF + dt.timedelta(days=1), "a", 10**9), (AS_OF + dt.timedelta(days=1), "future", 5)]
    before = forecast(write(tmp_path / "history.csv", known))
    assert forecast(write(tmp_path / "history.csv", [*known, *later])) == before


def judged(file: Path) -> list[dict[str, str]]:
    out = file.with_name("judged.csv")
    CliRunner().invoke(app, ["eval", "anomalies", str(file), str(out)], catch_exceptions=False)
    with out.open(encoding="utf-8", newline="") as written:
        return list(csv.DictReader(written))


def weekly(name: str, size: int) -> list[tuple[object, ...]]:
    return [(day, name, size * (2 if day.weekday() < 5 else 1) + (day.day * 7) % 5) for day in DAYS]


def test_the_dearest_anomaly_has_the_largest_score_of_all_series(tmp_path: Path) -> None:
    spikes = {("small", DAYS[80]): 900, ("large", DAYS[90]): 9000}
    rows = [(day, name, spikes.get((name, day), size)) for day, name, size in [*weekly("small", 50), *weekly("large", 500)]]
    found = judged(write(tmp_path / "input.csv", rows))
    assert list(found[0]) == ["date", "series", "flag", "score", "expected"]
    assert len(found) == len(rows)
    ranked = sorted(found, key=lambda row: -float(row["score"]))
    assert [(row["series"], row["date"], row["flag"]) for row in ranked[:2]] == [
        ("large", str(DAYS[90]), "1"),
        ("small", str(DAYS[80]), "1"),
    ]
    assert [row["flag"] for row in ranked[2:]] == ["0"] * (len(rows) - 2)
    assert found[0]["expected"] == "", "too little past to judge"


def test_days_to_come_change_no_judgement(tmp_path: Path) -> None:
    rows = weekly("a", 50) + weekly("b", 9)
    for cut in (40, 70, 90):
        known = [row for row in rows if row[0] in DAYS[:cut]]
        wild = [(day, name, 10**9 if day in DAYS[cut:] else size) for day, name, size in rows]
        before = judged(write(tmp_path / "input.csv", known))
        after = judged(write(tmp_path / "input.csv", wild))
        assert before == [row for row in after if row["date"] < str(DAYS[cut])]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([("2026-10-01", "a", "x")], ("date", "series", "value"), r"line 2: not a day.*1 such lines"),
        ([("2026-10-01", "a", "1"), ("1.10.2026", "a", "1")], ("date", "series", "value"), "line 3"),
        ([("2026-10-01", "a", "nan")], ("date", "series", "value"), "line 2"),
        ([("2026-10-01", "a", "1")], ("day", "series", "value"), "no column date"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(
    tmp_path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageEtlError, match=message):
        forecast(write(tmp_path / "history.csv", rows, header))


def test_numbers_in_any_notation_are_read(tmp_path: Path) -> None:
    (row,) = forecast(write(tmp_path / "history.csv", [(day, "a", "1e1" if day.day % 2 else " 10.0 ") for day in DAYS]))
    assert float(row["projected"]) == 310


def test_the_evaluation_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    history, out = write(tmp_path / "history.csv", [(day, "a", 1) for day in DAYS]), tmp_path / "out.csv"
    program = f"""
import sys
sys.argv = ["usage-etl", "eval", "forecast", {str(history)!r}, "{AS_OF}", {str(out)!r}]
from usage_etl.cli.start import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
heavy = {{"dagster", "boto3", "weasyprint", "httpx", "genai_prices", "usage_etl.config", "usage_etl.sources"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert out.read_text(encoding="utf-8").count("\n") == 2
