"""Everything that one executive report came out as, read back by readers of its own, and what disagrees in it.

``disagreements`` names each figure that two outputs tell differently: the marts against the report model, the model's
values against their printed texts, and the texts against what PDF, page and mail show.
"""

import email
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from email import policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pypdf

from tests.acceptance.installation import Installation
from usage_etl.periods import Month
from usage_etl.schemas import (
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
)
from usage_etl.schemas.summary import of_window

MARTS = (
    MART_SUMMARY,
    MART_SPEND_DAILY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
)
CENT = Decimal("0.01")
SCALES = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
_PRINTED = ("headline", "cards", "users", "daily", "projection", "teams", "models", "movers", "team_table", "attention", "trust")
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "pdf": _PRINTED,
    "page": (*_PRINTED, "features", "savings"),
    "mail_text": (*_PRINTED, "features", "savings"),
    "mail_html": ("headline", "cards", "daily", "teams", "attention", "savings", "trust_in_short"),
}
"""What each output shows of the model."""


@dataclass(frozen=True)
class Outputs:
    """One month's executive report in every form."""

    marts: Mapping[str, pl.DataFrame]
    """By table name; those with history hold all months."""
    month: Month
    model: Mapping[str, Any]
    pdf: str
    page: str
    mail_text: str
    mail_html: str
    published_pdf: bytes
    mailed_pdf: bytes

    @property
    def texts(self) -> dict[str, str]:
        """Output to the text that a reader sees."""
        return {name: getattr(self, name) for name in SECTIONS}

    def mart(self, table: str) -> pl.DataFrame:
        """The month's rows of a mart."""
        return self.marts[table].filter(pl.col("month") == self.month.first_day)


class _Visible(HTMLParser):
    """Text of a page as a reader sees it: no styles, no titles of drawings."""

    _HIDDEN = frozenset({"style", "script", "head", "title"})

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden_count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden_count += tag in self._HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self._hidden_count -= tag in self._HIDDEN

    def handle_data(self, data: str) -> None:
        if not self._hidden_count:
            self.parts.append(data)


def visible(html: str) -> str:
    """Text of a page as a reader sees it."""
    parser = _Visible()
    parser.feed(html)
    return " ".join(parser.parts)


def parse_mail(data: bytes) -> EmailMessage:
    """A mail as mail programs read it."""
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    """The plain or html body of a mail."""
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def attachment(message: EmailMessage, name: str) -> bytes:
    """The bytes of an attached file."""
    (part,) = (part for part in message.iter_attachments() if part.get_filename() == name)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def executive_outputs(installation: Installation, month: Month) -> Outputs:
    """Reads the mailed executive report of ``month`` back from everywhere it went."""
    folder = installation.folder / "out" / "executive" / str(month)
    (mail_name,) = (name for name in installation.mails() if name.startswith(f"executive-{month}"))
    message = parse_mail((installation.folder / "out" / "mail" / mail_name).read_bytes())
    pdf = (folder / "report.pdf").read_bytes()
    return Outputs(
        marts={table.name: installation.table(table) for table in MARTS},
        month=month,
        model=json.loads((folder / "report.json").read_text(encoding="utf-8"), parse_float=Decimal),
        pdf="\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages),
        page=visible((folder / "index.html").read_text(encoding="utf-8")),
        mail_text=body(message, "plain"),
        mail_html=visible(body(message, "html")),
        published_pdf=pdf,
        mailed_pdf=attachment(message, f"ai-usage-{month}.pdf"),
    )


def disagreements(outputs: Outputs) -> list[str]:
    """Every figure on which two outputs disagree, each named with the output in which it stands alone."""
    found = [f"model: {where}: {value} is not the mart's {wanted}" for where, value, wanted in _unlike_marts(outputs)]
    found += [f"model: {figure} does not read as its value" for figure in figures(outputs.model) if not reads_as(figure)]
    shown = rows(outputs.model)
    for name, text in outputs.texts.items():
        packed = squeezed(text)
        missing = (row for section in SECTIONS[name] for row in shown[section] if squeezed(row) not in packed)
        found += [f"{name}: does not show {row!r}" for row in missing]
        beside = [
            f"{card['figure']['text']}{card['note']}" for card in outputs.model["cards"]
        ]  # pypdf puts no space between them
        known = set(tokens(" ".join([*strings(outputs.model), *beside])))
        strange = (token for token in tokens(text) if token not in known and not is_round(token))
        found += [f"{name}: shows {token!r}, which the model does not say" for token in strange]
    if outputs.published_pdf != outputs.mailed_pdf:
        found.append("mail: the attached PDF is not the published one")
    return found


def rows(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """Section to the lines that show it: names and figures in reading order."""

    def line(part: Mapping[str, Any], *keys: str) -> str:
        texts = (part[key]["text"] if isinstance(part[key], dict) else part[key] for key in keys)
        return " ".join(texts)

    table = (*model["team_table"]["rows"], model["team_table"]["total"])
    columns = ("users", "requests", "input_tokens", "output_tokens", "cost", "change", "budget_used", "charged")
    trust = model["trust"]
    bars = {name: [line(bar, "name", "cost", "share") for bar in model[name]["bars"]] for name in ("teams", "models", "features")}
    return bars | {
        "headline": [model["headline"], model["status"]["text"]],
        "cards": [line(card, "label", "figure", "note") for card in model["cards"] if card["label"] != "Active users"],
        "users": [line(card, "label", "figure", "note") for card in model["cards"] if card["label"] == "Active users"],
        "daily": [model["daily"]["total"]["text"], *(line(part, "name", "total", "share") for part in model["daily"]["series"])],
        "projection": [model["burn_up"][name]["text"] for name in ("spent", "projected", "linear", "budget")]
        + [model["burn_up"]["note"]],
        "movers": [line(mover, "name", "change", "note") for part in model["movers"] for mover in part["movers"]],
        "team_table": [line(row, "name", *columns) for row in table] + [model["team_table"]["note"]],
        "attention": [line(item, "title", "detail") for item in model["attention"]],
        "trust": [line(fact, "label", "figure", "note") for fact in trust["facts"]]
        + [line(row, "provider", "billed", "priced", "difference", "verdict") for row in trust["bills"]]
        + [
            line(row, "name", "days", "rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined", "last_arrival")
            for row in trust["sources"]
        ],
        "savings": [text for one in model["savings"]["advice"] for text in (one["title"], one["detail"])]
        + [model["savings"]["verdict"]],
        "trust_in_short": [line(fact, "label", "figure") for fact in trust["facts"][:4]],
    }


def squeezed(text: str) -> str:
    """Text without spaces and separators, which outputs set differently."""
    return re.sub(r"[\s\xa0·:;,()]+", "", text)


def strings(part: Any) -> Iterator[str]:
    """Every text of the model."""
    if isinstance(part, str):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from strings(inner)


def figures(part: Any) -> Iterator[Mapping[str, Any]]:
    """Every figure of the model: a value and its text."""
    if isinstance(part, dict) and part.keys() == {"value", "text"}:
        yield part
        return
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from figures(inner)


_TOKEN = re.compile(r"[+\u2212]?\$?\d+(?:,\d{3})*(?:\.\d+)?(?:[\s\xa0]?%|[kMBT]\b|\u00d7)?")
_HASH = re.compile(r"\b[0-9a-f]{8,64}\b")


def tokens(text: str) -> list[str]:
    """Amounts, shares, factors and numbers of three digits or more, as printed but for spaces."""
    found = (re.sub(r"[\s\xa0]", "", token) for token in _TOKEN.findall(_HASH.sub(" ", text)))
    return [token for token in found if not re.fullmatch(r"\d{1,2}", token)]


def is_round(token: str) -> bool:
    """Whether a token is one that axes are labelled with: one or two leading digits, then zeros."""
    return re.fullmatch(r"\$(0|[1-9][05]?0*|[1-9]\.50|[1-9][05]?0*k|[1-9]\.5k)", token.replace(",", "")) is not None


def reads_as(figure: Mapping[str, Any]) -> bool:
    """Whether a printed figure is its value, rounded to the digits that it shows."""
    text, value = figure["text"].replace("\xa0", " "), figure["value"]
    if value is None:
        return (
            text in {"\u2013", "no data", "no bill yet", "no price"} or re.fullmatch(r"\d{1,2} \w{3} \d\d:\d\d", text) is not None
        )
    amount = Decimal(value)
    if text == "<1 %":
        return 0 < amount < Decimal("0.005")
    parsed = re.fullmatch(r"([+\u2212]?)\$?([\d,]+(?:\.(\d+))?)([kMBT]?)( %)?", text)
    if parsed is None:
        return False
    sign, digits, decimals, suffix, is_share = parsed.groups()
    scale = Decimal("0.01") if is_share else Decimal(SCALES[suffix])
    shown = Decimal(digits.replace(",", "")) * scale * (-1 if sign == "\u2212" else 1)
    unit = scale * Decimal(1).scaleb(-len(decimals or ""))
    allowed = unit if is_share and decimals else unit / 2  # shares with decimals are rounded down on purpose
    return abs(amount - shown) <= allowed


def _unlike_marts(outputs: Outputs) -> Iterator[tuple[str, Any, Any]]:
    """(where, what the model says, what the marts say), for what differs."""
    for where, value, wanted, tolerance in _compared(outputs):
        if (value is None) != (wanted is None) or (value is not None and abs(Decimal(value) - Decimal(wanted)) > tolerance):
            yield where, value, wanted


def _compared(outputs: Outputs) -> Iterator[tuple[str, Any, Any, Decimal]]:
    """(where, model, mart, tolerance). Rows that must add up to a rounded total may each be less than a cent off."""
    model, summary = outputs.model, of_window(outputs.mart("mart_summary"))
    whole = summary.filter(pl.col("dimension") == "organization").row(0, named=True)
    cards = {card["label"]: card["figure"]["value"] for card in model["cards"]}
    is_whole = (pl.col("scope_kind") == "organization") & (pl.col("measure") == "effective_cost")
    scopes = outputs.mart("mart_projection").filter(is_whole).row(0, named=True)
    yield "cost", cards["Cost to date"], whole["effective_cost"], Decimal(0)
    yield "tokens", cards["Tokens"], whole["total_tokens"], Decimal(0)
    yield "requests", cards["Requests"], whole["requests_count"], Decimal(0)
    yield "users", cards["Active users"], whole["active_users_count"], Decimal(0)
    yield "projection", cards["Projected month-end"], scopes["projected_quantity"], Decimal(0)
    for name, column in (("spent", "to_date_quantity"), ("projected", "projected_quantity"), ("linear", "linear_quantity")):
        yield f"burn-up {name}", model["burn_up"][name]["value"], scopes[column], Decimal(0)
    yield "burn-up budget", model["burn_up"]["budget"]["value"], scopes["limit_quantity"], Decimal(0)
    yield from _daily(outputs)
    yield from _members(outputs, summary)
    yield from _trust(outputs, whole)


def _daily(outputs: Outputs) -> Iterator[tuple[str, Any, Any, Decimal]]:
    daily = outputs.model["daily"]
    days = {
        (day, series["name"].lower()): cost
        for series in daily["series"]
        for day, cost in zip(daily["days"], series["daily_costs"], strict=True)
    }
    spend = outputs.marts["mart_spend_daily"].with_columns(day=pl.col("usage_date").cast(pl.String))
    shown = spend.filter(pl.col("day").is_in(daily["days"]))
    for day, provider, costs in shown.group_by("day", "provider").agg("effective_cost").iter_rows():
        known = [cost for cost in costs if cost is not None]
        yield f"{provider} on {day}", days.pop((day, provider), None), sum(known) if known else None, Decimal(0)
    for (day, provider), cost in days.items():
        yield f"{provider} on {day}", cost, None, Decimal(0)
    yield "daily total", daily["total"]["value"], shown["effective_cost"].sum(), Decimal(0)


def _members(outputs: Outputs, summary: pl.DataFrame) -> Iterator[tuple[str, Any, Any, Decimal]]:
    for dimension in ("team", "model", "feature"):
        known = {row["member_name"]: row for row in summary.filter(pl.col("dimension") == dimension).iter_rows(named=True)}
        for bar in outputs.model[f"{dimension}s"]["bars"]:
            if bar["is_member"]:
                yield f"bar {bar['name']}", bar["cost"]["value"], known[bar["name"]]["effective_cost"], CENT
        total = sum(Decimal(bar["cost"]["value"]) for bar in outputs.model[f"{dimension}s"]["bars"])
        yield f"bars by {dimension}", total, summary.filter(pl.col("dimension") == dimension)["effective_cost"].sum(), CENT / 2
    teams = {row["member_name"]: row for row in summary.filter(pl.col("dimension") == "team").iter_rows(named=True)}
    charged = dict(outputs.mart("mart_chargeback_monthly").group_by("team_name").agg(pl.col("allocated_cost").sum()).iter_rows())
    for row in outputs.model["team_table"]["rows"]:
        mart = teams[row["name"]]
        yield f"{row['name']} cost", row["cost"]["value"], mart["effective_cost"], CENT
        for name, column in (
            ("users", "active_users_count"),
            ("requests", "requests_count"),
            ("input_tokens", "input_tokens"),
            ("output_tokens", "output_tokens"),
        ):
            yield f"{row['name']} {name}", row[name]["value"], mart[column], Decimal(0)
        yield f"{row['name']} charged", row["charged"]["value"], charged.get(row["name"]), Decimal(0)
    yield "charged in all", outputs.model["team_table"]["total"]["charged"]["value"], sum(charged.values()), Decimal(0)


def _trust(outputs: Outputs, whole: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, Decimal]]:
    trust, quality = outputs.model["trust"], outputs.mart("mart_data_quality")
    facts = {fact["label"]: fact for fact in trust["facts"]}
    yield "quarantined", facts["Rows quarantined"]["figure"]["value"], quality["rows_quarantined_count"].sum(), Decimal(0)
    yield "days missing", facts["Days missing"]["figure"]["value"], quality["days_missing_count"].sum(), Decimal(0)
    priced = Decimal(whole["requests_count"] - whole["unpriced_requests_count"]) / whole["requests_count"]
    yield "priced share", facts["Requests priced"]["figure"]["value"], priced, Decimal("0.000001")
    counts = {row["source"]: row for row in quality.iter_rows(named=True)}
    for row in trust["sources"]:
        for name in ("rows_read", "rows_loaded", "rows_duplicate", "rows_quarantined"):
            yield f"{row['name']} {name}", row[name]["value"], counts[row["name"]][f"{name}_count"], Decimal(0)
    bills = (
        outputs.mart("mart_reconciliation_monthly")
        .group_by(pl.col("provider_name").str.to_lowercase())
        .agg(*(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()) for name in ("billed_cost", "metered_cost")))
    )
    tie_out = {provider: (billed, priced) for provider, billed, priced in bills.iter_rows()}
    for row in trust["bills"]:
        billed, metered_cost = tie_out[row["provider"].lower()]
        yield f"{row['provider']} billed", row["billed"]["value"], billed, Decimal(0)
        yield f"{row['provider']} priced", row["priced"]["value"], metered_cost, Decimal(0)
