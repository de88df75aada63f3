"""What was published, read back from its bytes by plain readers: csv, json, Parquet and mail, none of the product's own."""

import csv
import email
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from email import policy
from fractions import Fraction
from typing import Any

import polars as pl
import pypdf

from tests.acceptance.three_months_expected import Item

Tree = Mapping[str, bytes]
"""Path below the installation to content."""

STABLE = (
    *("chargeback.csv", "chargeback.parquet", "chargeback_by_cost_center.csv", "chargeback.xlsx", "journal.csv"),
    *("focus.csv", "focus_invoice_detail.csv", "focus_billing_period.csv", "manifest.json", "latest.json"),
)
"""Files of every month; statements come on top."""


def of_month(out: Tree, month: str) -> dict[str, bytes]:
    """Name to content of the month's stable files."""
    folder = f"out/chargeback/{month}/"
    names = {path.removeprefix(folder): path for path in out if path.startswith(folder)}
    return {name: out[path] for name, path in names.items() if "/" not in name}


def under(out: Tree, folder: str) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path: content for path, content in out.items() if path.startswith(f"{folder}/")}


def rows(content: bytes) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def sha256(content: bytes) -> str:
    """As manifests print it."""
    return hashlib.sha256(content).hexdigest()


def cents(amount: object) -> int:
    """Whole cents of a printed or stored amount."""
    exact = Fraction(str(amount)) * 100
    assert exact.denominator == 1, amount
    return int(exact)


def frame(out: Tree, month: str) -> pl.DataFrame:
    """chargeback.parquet."""
    return pl.read_parquet(io.BytesIO(of_month(out, month)["chargeback.parquet"]))


def lines(out: Tree, month: str) -> dict[Item, int]:
    """The lines of chargeback.parquet that are no dispute, in cents."""
    found: defaultdict[Item, int] = defaultdict(int)
    for row in frame(out, month).iter_rows(named=True):
        if row["dispute_id"] is None:
            found[item_of(row)] += cents(row["allocated_cost"])
    return dict(found)


def item_of(row: Mapping[str, Any]) -> Item:
    """Who pays for what."""
    return Item(
        provider=row["provider_name"],
        charge_kind=row["charge_kind"],
        sub_account=row["sub_account_id"] or "",
        model=row["model_id"] or "",
        line_kind=row["line_kind"],
        team=row["team_id"],
        corrects=f"{row['corrects_month']:%Y-%m}" if row["corrects_month"] else "",
    )


def disputes(out: Tree, month: str) -> dict[tuple[str, str], int]:
    """(dispute, team) to cents."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in frame(out, month).iter_rows(named=True):
        if row["dispute_id"] is not None:
            found[row["dispute_id"], row["team_id"]] += cents(row["allocated_cost"])
    return dict(found)


def by(content: bytes, key: str, amount: str) -> dict[str, int]:
    """Sums in cents of a CSV file's column."""
    found: defaultdict[str, int] = defaultdict(int)
    for row in rows(content):
        found[row[key]] += cents(row[amount] or 0)
    return dict(found)


def booked(content: bytes, key: str) -> dict[str, int]:
    """Debits less credits of journal.csv."""
    found: defaultdict[str, int] = defaultdict(int)
    for row in rows(content):
        found[row[key]] += cents(row["debit"] or 0) - cents(row["credit"] or 0)
    return dict(found)


def manifest(out: Tree, month: str) -> dict[str, Any]:
    """manifest.json."""
    content: dict[str, Any] = json.loads(of_month(out, month)["manifest.json"])
    return content


def pdf_text(content: bytes) -> str:
    """What a reader of a PDF sees, blanks and hard hyphens made plain."""
    pages = pypdf.PdfReader(io.BytesIO(content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u00a0", " ").split())


def mail_of(content: bytes) -> tuple[str, str]:
    """Recipient and subject."""
    message = email.message_from_bytes(content, policy=policy.default)
    return str(message["To"]), str(message["Subject"])


def body_of(content: bytes) -> str:
    """Subject and plain text of a mail."""
    message = email.message_from_bytes(content, policy=policy.default)
    part = message.get_body(("plain",))
    assert part is not None
    return f"{message['Subject']}\n{part.get_content()}"


def money(found: int) -> str:
    """Cents as papers print dollars: ``$1,234.56``."""
    sign = "\u2212" if found < 0 else ""
    return f"{sign}${Decimal(abs(found)) / 100:,.2f}"
