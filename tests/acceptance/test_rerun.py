"""Running again changes nothing; what arrives late changes what it is about and no more, and says so."""

import datetime as dt
import gzip
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from tests.acceptance.installation import Installation
from tests.acceptance.outputs import body, parse_mail
from usage_etl.cli.pipeline import RunSummary
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
    USAGE_EVENTS,
)
from usage_etl.schemas.state import sends

FIGURES = (
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
)
"""Tables of figures alone: no ids of deliveries, no times of arrival."""


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Paths whose bytes are new, other or gone."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def editions(installation: Installation) -> dict[tuple[str, str], str]:
    """(report, month) to the sha256 of the manifest in force."""
    out = installation.folder / "out"
    pointers = [json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/*/latest.json")]
    return {(pointer["report"], pointer["period"]): pointer["manifest_sha256"] for pointer in pointers}


def manifest(installation: Installation, report: str, period: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((installation.folder / "out" / report / period / "manifest.json").read_bytes())
    return content


def sent_mails(installation: Installation) -> list[tuple[Any, ...]]:
    with installation.workspace.engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(sends.select()))


def deliver_late(installation: Installation, day: dt.date, *, name: str, rows_count: int = 4) -> list[dict[str, Any]]:
    """A file with further requests of ``day``: those of its log with new ids. Returns its rows."""
    folder = installation.folder / "landing" / "litellm"
    lines = gzip.decompress((folder / f"spend_logs_{day}.jsonl.gz").read_bytes()).decode("utf-8-sig").splitlines()
    known = [json.loads(line) for line in lines if '"status":"success"' in line and '"model":"claude-opus-5"' in line]
    rows = [{**row, "request_id": f"{name}-{row['request_id']}"} for row in known[:rows_count]]
    assert len(rows) == rows_count
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return rows


def test_running_everything_again_changes_no_byte_and_mails_nobody(northwind_copy: Installation) -> None:
    before, sent = northwind_copy.tree("lake", "out"), sent_mails(northwind_copy)
    first_built = dt.date.fromisoformat(northwind_copy.workspace.lake.partitions(FACT_USAGE_HOURLY)[0])
    for first in (None, first_built):
        summary = northwind_copy.run(first=first)
        assert changed(before, northwind_copy.tree("lake", "out")) == set()
        assert sent_mails(northwind_copy) == sent
    assert covered(summary, "daily") == f"{first_built} to 2026-11-19"
    assert covered(summary, "reports") == "2026-09-01 to 2026-11-01"


def covered(summary: RunSummary, job: str) -> str:
    return next(outcome.partitions for outcome in summary.outcomes if outcome.job_name == job)


def test_a_late_file_restates_its_month_and_says_so(northwind_copy: Installation) -> None:
    day, month = dt.date(2026, 10, 24), "2026-10"
    before, tables, mails = editions(northwind_copy), northwind_copy.tree("lake"), northwind_copy.mails()
    billed = charged(northwind_copy, month, "billed")
    rows = deliver_late(northwind_copy, day, name="late.jsonl")
    summary = northwind_copy.run()
    assert covered(summary, "daily").startswith(str(day))
    after = editions(northwind_copy)
    restated = {key for key in after if after[key] != before[key]}
    # November's executive report draws October's last days and learns from them; its statements compare with October.
    assert restated == {(report, period) for report in ("chargeback", "executive") for period in (month, "2026-11")}
    for report, period in restated:
        assert manifest(northwind_copy, report, period)["restates"] == before[report, period]
        kept = northwind_copy.folder / "out" / report / period / f"v-{before[report, period][:12]}" / "manifest.json"
        assert kept.exists()
    rebuilt = {
        path.split("/")[2] for path in changed(tables, northwind_copy.tree("lake")) if path.startswith("lake/fact_usage_hourly/")
    }
    assert rebuilt == {f"usage_date={day}"}
    events = northwind_copy.table(USAGE_EVENTS).filter(pl.col("event_id").str.starts_with("late.jsonl-"))
    assert events["usage_date"].to_list() == [day] * len(rows)
    assert charged(northwind_copy, month, "billed") == billed
    assert subjects(northwind_copy, mails) == {
        "chargeback": "Updated: AI chargeback, October 2026: ",
        "executive": "Updated: AI cost, November: ",
    }
    correct_after_the_due_date(northwind_copy, day)


def correct_after_the_due_date(installation: Installation, day: dt.date) -> None:
    """A month later, October's chargeback is not due any more; who was mailed it is told of a correction all the same."""
    settings = installation.config.read_text(encoding="utf-8").replace("as_of_date: 2026-11-19", "as_of_date: 2026-12-10")
    later = Installation(Path(shutil.copytree(installation.folder, installation.folder.parent / "december")))
    later.config.write_text(settings, encoding="utf-8")
    mails, before = later.mails(), editions(later)
    deliver_late(later, day, name="even_later.jsonl")
    later.run(first=day, last=day)
    assert {key for key, sha in editions(later).items() if sha != before[key]} == {
        ("chargeback", "2026-10"),
        ("executive", "2026-10"),
    }
    told = subjects(later, mails)
    assert "Resolved: " in told.pop("alert"), "November's limits are over"
    assert told == {"chargeback": "Updated: AI chargeback, October 2026: "}


def charged(installation: Installation, period: str, basis: str) -> Decimal:
    lines = installation.table(MART_CHARGEBACK_MONTHLY)
    chosen = lines.filter((pl.col("month") == Month.parse(f"{period}-01").first_day) & (pl.col("charge_basis") == basis))
    return Decimal(chosen["allocated_cost"].sum())


def subjects(installation: Installation, known: list[str]) -> dict[str, str]:
    """Report to the subject of its new mail, without amounts."""
    new = [name for name in installation.mails() if name not in known]
    messages = [parse_mail((installation.folder / "out" / "mail" / name).read_bytes()) for name in new]
    assert all(body(message, "plain") for message in messages)
    return {name.split("-")[0]: str(message["Subject"]).partition("$")[0] for name, message in zip(new, messages, strict=True)}


def test_the_same_deliveries_under_other_names_change_no_figure(short_copy: Installation) -> None:
    """Every file again: one log in two byte for byte, the other and all bills as the same rows in other bytes."""
    before = {table.name: short_copy.table(table) for table in FIGURES}
    events, charges = short_copy.table(USAGE_EVENTS), short_copy.table(BILLING_CHARGES)
    loaded = short_copy.table(FACT_DELIVERIES_DAILY)["loaded_count"].sum()
    published, mails = editions(short_copy), short_copy.mails()
    for number, path in enumerate(sorted((short_copy.folder / "landing").rglob("*.*"))):
        content = path.read_bytes()
        if path.suffix == ".json":
            content += b"\n"
        elif path.suffix == ".gz" and number % 2:
            content = gzip.compress(gzip.decompress(content), compresslevel=1)
        path.with_name(f"zz_again_{path.name}").write_bytes(content)
    short_copy.run()
    for table in FIGURES:
        assert short_copy.table(table).equals(before[table.name]), table.name
    assert without_origin(short_copy.table(USAGE_EVENTS)).equals(without_origin(events))
    assert without_origin(short_copy.table(BILLING_CHARGES)).equals(without_origin(charges))
    deliveries = short_copy.table(FACT_DELIVERIES_DAILY)
    assert deliveries["loaded_count"].sum() == loaded
    gateway = short_copy.workspace.index.deliveries("gateway")
    assert {item.status for item in gateway if "zz_again" in item.origin_key} == {"staged", "duplicate", "refused"}
    assert deliveries.filter(pl.col("source") == "gateway")["duplicate_count"].sum() > loaded / 3
    chargebacks = {key: sha for key, sha in editions(short_copy).items() if key[0] == "chargeback"}
    assert chargebacks == {key: sha for key, sha in published.items() if key[0] == "chargeback"}
    assert [name for name in short_copy.mails() if name not in mails and name.startswith("chargeback")] == []


def without_origin(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows without the delivery that carried the winning copy."""
    columns = [name for name in frame.columns if name not in {"delivery_id", "raw_ordinal"}]
    return frame.select(columns).sort(columns)
