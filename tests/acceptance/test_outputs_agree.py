"""One figure, one value: marts, report model, PDF, page, both bodies of the mail, finance files and manifests agree."""

import csv
import dataclasses
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.outputs import Outputs, attachment, body, disagreements, executive_outputs, figures, parse_mail, visible
from usage_etl.demo import DemoSummary
from usage_etl.keys import sha256_hex
from usage_etl.periods import Month
from usage_etl.schemas import FACT_CHARGES_MONTHLY, MART_CHARGEBACK_MONTHLY

NOBODY = {"unallocated", "unexplained"}
CSV, CENTERS, PARQUET = "chargeback.csv", "chargeback_by_cost_center.csv", "chargeback.parquet"


@pytest.fixture(scope="module")
def outputs(northwind: Installation, truth: DemoSummary) -> Outputs:
    return executive_outputs(northwind, truth.scenario.current_month)


def test_the_executive_report_says_one_thing_everywhere(outputs: Outputs) -> None:
    assert disagreements(outputs) == []
    assert len(list(figures(outputs.model))) > 150


def changed_digit(text: str, figure: str) -> str:
    """``text`` with another last digit where ``figure`` first stands."""
    at = text.index(figure) + max(index for index, char in enumerate(figure) if char.isdigit())
    return text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]


def changed_value(outputs: Outputs) -> Outputs:
    model = json.loads(json.dumps(outputs.model, default=str))
    model["cards"][0]["figure"]["value"] = str(Decimal(model["cards"][0]["figure"]["value"]) + Decimal("1e-18"))
    return dataclasses.replace(outputs, model=model)


def changed_text(outputs: Outputs) -> Outputs:
    model = json.loads(json.dumps(outputs.model, default=str))
    figure = model["team_table"]["rows"][2]["charged"]
    figure["text"] = changed_digit(figure["text"], figure["text"])
    return dataclasses.replace(outputs, model=model)


def changed_mart(outputs: Outputs, table: str, column: str) -> Outputs:
    """One cell of the month greater by one unit, or by the least amount; of the organization where the table has scopes."""
    frame = outputs.marts[table].with_row_index("row")
    scope = next(
        (pl.col(name) == "organization" for name in ("dimension", "scope_kind") if name in frame.columns), pl.lit(value=True)
    )
    if "window" in frame.columns:
        scope &= pl.col("window") == "month"
    row = frame.filter((pl.col("month") == outputs.month.first_day) & (pl.col(column) > 0) & scope).row(0, named=True)["row"]
    least = pl.lit(Decimal("1e-18"), dtype=frame.schema[column]) if frame.schema[column].is_decimal() else 1
    mended = pl.when(pl.col("row") == row).then(pl.col(column) + least).otherwise(pl.col(column))
    return dataclasses.replace(outputs, marts={**outputs.marts, table: frame.with_columns(mended.alias(column)).drop("row")})


@pytest.mark.parametrize("output", ["pdf", "page", "mail_text", "mail_html"])
@pytest.mark.parametrize("where", ["first card", "team", "share", "headline", "attention"])
def test_one_digit_changed_in_one_output_is_seen(outputs: Outputs, output: str, where: str) -> None:
    model = outputs.model
    figure = {
        "first card": model["cards"][0]["figure"]["text"],
        "team": model["teams"]["bars"][3]["cost"]["text"],
        "share": model["teams"]["bars"][1]["share"]["text"],
        "headline": f"${Decimal(model['burn_up']['budget']['value']):,.0f}",
        "attention": next(word for word in model["attention"][0]["detail"].split() if word.startswith("$")),
    }[where]
    text = outputs.texts[output].replace("\xa0", " ")
    wrong = dataclasses.replace(outputs, **{output: changed_digit(text, figure.replace("\xa0", " "))})
    assert {fault.partition(":")[0] for fault in disagreements(wrong)} == {output}


def test_a_changed_value_or_text_of_the_model_is_seen(outputs: Outputs) -> None:
    assert any(fault.startswith("model: cost") for fault in disagreements(changed_value(outputs)))
    assert any("does not read as its value" in fault for fault in disagreements(changed_text(outputs)))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("mart_summary", "effective_cost"),
        ("mart_spend_daily", "effective_cost"),
        ("mart_projection", "projected_quantity"),
        ("mart_reconciliation_monthly", "billed_cost"),
        ("mart_chargeback_monthly", "allocated_cost"),
        ("mart_data_quality", "rows_read_count"),
    ],
)
def test_a_changed_mart_is_seen(outputs: Outputs, table: str, column: str) -> None:
    assert disagreements(changed_mart(outputs, table, column))


def test_another_pdf_in_the_mail_is_seen(outputs: Outputs) -> None:
    wrong = dataclasses.replace(outputs, mailed_pdf=outputs.mailed_pdf + b" ")
    assert disagreements(wrong) == ["mail: the attached PDF is not the published one"]


@dataclasses.dataclass(frozen=True)
class Finance:
    """One month's finance files, as a ledger clerk with Python would read them, and what they must agree with."""

    lines: pl.DataFrame
    """The mart."""
    bills: Mapping[tuple[str, str], Decimal]
    """(provider, account) to what was billed, exact."""
    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    mail_text: str | None
    mail_html: str | None
    mailed: Mapping[str, bytes]

    def cells(self, name: str) -> list[dict[str, str]]:
        """Rows of a CSV file by Python's own reader."""
        return list(csv.DictReader(io.StringIO(self.files[name].decode("utf-8-sig"), newline="")))


def finance(installation: Installation, month: Month) -> Finance:
    folder = installation.folder / "out" / "chargeback" / str(month)
    charges = installation.table(FACT_CHARGES_MONTHLY).filter(pl.col("month") == month.first_day)
    mails = [name for name in installation.mails() if name.startswith(f"chargeback-{month}")]
    message = parse_mail((installation.folder / "out" / "mail" / mails[0]).read_bytes()) if mails else None
    return Finance(
        lines=installation.table(MART_CHARGEBACK_MONTHLY).filter(pl.col("month") == month.first_day),
        bills={(name, account): cost for name, account, cost in _sums(charges)},
        files={path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".json"},
        manifest=json.loads((folder / "manifest.json").read_text(encoding="utf-8")),
        mail_text=body(message, "plain") if message else None,
        mail_html=visible(body(message, "html")) if message else None,
        mailed={name: attachment(message, name) for name in (CSV, CENTERS)} if message else {},
    )


def _sums(charges: pl.DataFrame) -> Iterable[tuple[str, str, Decimal]]:
    return charges.group_by("provider_name", "billing_account_id").agg(pl.col("billed_cost").sum()).iter_rows()


def added(rows: Iterable[Mapping[str, str]], *keys: str, amount: str = "allocated_cost") -> dict[tuple[str, ...], Decimal]:
    """Sums of a printed column by other columns."""
    sums: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[tuple(row[key] for key in keys)] += Decimal(row[amount])
    return dict(sums)


def finance_faults(found: Finance) -> list[str]:
    """Every place in which the finance files disagree with each other, the bills, the mart, the manifest or the mail."""
    rows, centers, faults = found.cells(CSV), found.cells(CENTERS), []
    parquet = pl.read_parquet(io.BytesIO(found.files[PARQUET])).with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    mart = {row["line_id"]: row for row in found.lines.iter_rows(named=True)}
    if {row["line_id"]: printed(row) for row in parquet.iter_rows(named=True)} != {
        key: printed(row) for key, row in mart.items()
    }:
        faults.append("parquet: not the mart")
    if {row["line_id"]: (row["allocated_cost"], row["team_id"]) for row in rows} != {
        key: (f"{row['allocated_cost']:.2f}", row["team_id"]) for key, row in mart.items()
    }:
        faults.append("csv: not the mart")
    if any(
        Decimal(row["metered_cost"] or 0) != (mart[row["line_id"]]["metered_cost"] or 0) for row in rows if row["line_id"] in mart
    ):
        faults.append("csv: metered cost is not the mart's")
    billed = added((row for row in rows if row["charge_basis"] == "billed"), "provider_name", "billing_account_id")
    if billed != {key: round(cost, 2) for key, cost in found.bills.items()}:
        faults.append(f"csv: lines add up to {billed}, the bills to {found.bills}")
    if added(rows, "cost_center_id") != added(centers, "cost_center_id"):
        faults.append("cost centers: not the sums of the lines")
    parts = ("billed_cost", "estimated_cost", "corrections_cost", "disputes_cost")
    if any(sum(Decimal(row[name]) for name in parts) != Decimal(row["allocated_cost"]) for row in centers):
        faults.append("cost centers: bills and estimates are not the whole")
    return faults + manifest_faults(found) + mail_faults(found, billed)


def printed(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(cell) for name, cell in row.items()}


def manifest_faults(found: Finance) -> list[str]:
    faults = []
    total = f"{found.lines['allocated_cost'].sum():.2f}"
    if found.manifest["control_totals"] != {"USD": {"allocated_cost": total}}:
        faults.append("manifest: control total is not the mart's")
    for entry in found.manifest["files"]:
        name, content = entry["name"], found.files[entry["name"]]
        stated, wanted = [entry["sha256"], entry["bytes_count"]], [sha256_hex(content), len(content)]
        if name in (CSV, CENTERS, PARQUET):
            rows = len(found.cells(name)) if name.endswith(".csv") else pl.read_parquet(io.BytesIO(content)).height
            stated += [entry["rows_count"], entry["control_totals"]["USD"]["allocated_cost"]]
            wanted += [rows, total]
        if stated != wanted:
            faults.append(f"manifest: does not describe {name}")
    if {entry["name"] for entry in found.manifest["files"]} != found.files.keys():
        faults.append("manifest: names other files")
    return faults


def mail_faults(found: Finance, billed: Mapping[tuple[str, ...], Decimal]) -> list[str]:
    faults = [f"mail: another {name} is attached" for name, content in found.mailed.items() if content != found.files[name]]
    total = sum(Decimal(row["allocated_cost"]) for row in found.cells(CSV))
    nobody = [row for row in found.cells(CSV) if row["cost_center_id"] in NOBODY]
    centers = (Decimal(row["allocated_cost"]) for row in found.cells(CENTERS) if row["cost_center_id"] not in NOBODY)
    amounts = [total, *billed.values(), *centers, *added(nobody, "cost_center_id", "provider_name").values()]
    for name, text in (("text", found.mail_text), ("html", found.mail_html)):
        if text is not None:
            faults += [f"mail {name}: does not show ${amount:,.2f}" for amount in amounts if f"${amount:,.2f}" not in text]
    return faults


def test_finance_files_of_every_month_agree_with_bills_mart_manifest_and_mail(
    northwind: Installation, truth: DemoSummary
) -> None:
    month = truth.scenario.current_month
    for period in (month, month.previous, month.previous.previous):
        found = finance(northwind, period)
        assert finance_faults(found) == []
        assert (found.mail_text is not None) == (period == month.previous)


def test_the_executive_report_charges_what_the_finance_files_charge(outputs: Outputs, northwind: Installation) -> None:
    found = finance(northwind, outputs.month)
    total = sum(Decimal(row["allocated_cost"]) for row in found.cells(CSV))
    assert Decimal(outputs.model["team_table"]["total"]["charged"]["value"]) == total


def with_changed_cent(content: bytes, column: str) -> bytes:
    """The CSV with one cent more in the first line that has an amount."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    row = next(row for row in rows if Decimal(row[column] or 0) > 1)
    row[column] = str(Decimal(row[column]) + Decimal("0.01"))
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode()


def with_changed_parquet(content: bytes) -> bytes:
    target = io.BytesIO()
    more = pl.col("allocated_cost") + pl.lit(Decimal("0.01"), dtype=pl.Decimal(38, 18))
    pl.read_parquet(io.BytesIO(content)).with_columns(allocated_cost=more.cast(pl.Decimal(38, 18))).write_parquet(target)
    return target.getvalue()


def dearest_center(found: Finance) -> str:
    return f"${max(Decimal(row['allocated_cost']) for row in found.cells(CENTERS)):,.2f}"


CHANGES: Mapping[str, Callable[[Finance], dict[str, Any]]] = {
    "csv": lambda one: {"files": {**one.files, CSV: with_changed_cent(one.files[CSV], "allocated_cost")}},
    "metered cost": lambda one: {"files": {**one.files, CSV: with_changed_cent(one.files[CSV], "metered_cost")}},
    "cost centers": lambda one: {"files": {**one.files, CENTERS: with_changed_cent(one.files[CENTERS], "allocated_cost")}},
    "parquet": lambda one: {"files": {**one.files, PARQUET: with_changed_parquet(one.files[PARQUET])}},
    "bill": lambda one: {"bills": {key: cost + Decimal("0.02") for key, cost in one.bills.items()}},
    "manifest": lambda one: {"manifest": {**one.manifest, "control_totals": {"USD": {"allocated_cost": "1.00"}}}},
    "mail text": lambda one: {"mail_text": changed_digit(one.mail_text or "", dearest_center(one))},
    "mail html": lambda one: {"mail_html": changed_digit(one.mail_html or "", dearest_center(one))},
    "attachment": lambda one: {"mailed": {name: content + b"\r\n" for name, content in one.mailed.items()}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_cent_changed_in_one_finance_output_is_seen(northwind: Installation, truth: DemoSummary, what: str) -> None:
    found = finance(northwind, truth.scenario.previous_month)
    assert finance_faults(dataclasses.replace(found, **CHANGES[what](found)))
