"""Tidewater Labs on a disk: each act of the three months brings its files, in the formats of the gateway and the providers."""

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.acceptance.three_months import (
    ACCOUNTS,
    CENTERS,
    CREDIT,
    CREDIT_DAY,
    GPT,
    HAIKU,
    MAIN,
    MINI,
    MOVE,
    PEOPLE,
    PRICE_CHANGE,
    SANDBOX,
    SANDBOX_COST,
    SEAT_COST,
    SHARED_KEY,
    SHARED_KEY_SPLIT,
    START,
    SUPPORT_COST,
    TAX_COST,
    TEAMS,
    Day,
    Known,
    Request,
    days,
    price,
)


class Story:
    """The folder of the installation, and the files that each act brings."""

    def __init__(self, folder: Path, known: Known) -> None:
        self.folder = folder
        self.known = known
        (folder / "landing" / "deskco").mkdir(parents=True, exist_ok=True)

    def moved_to(self, folder: Path) -> "Story":
        """The same story on a copy of its folder."""
        return Story(folder, self.known)

    def learn(self, **changes: Any) -> None:
        """What the act adds to what is known."""
        self.known = replace(self.known, **changes)

    def write(self, name: str, text: str) -> None:
        """One file of the installation."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def settings(self, as_of: Day) -> None:
        """The settings file as it is on ``as_of``."""
        self.learn(as_of=as_of)
        self.write("usage_etl.yaml", _SETTINGS.format(as_of=as_of))

    def logs(self, name: str, found: Iterable[Request]) -> None:
        """One export of the gateway's log."""
        self.write(f"landing/litellm/{name}.jsonl", "".join(f"{json.dumps(_log_row(request))}\n" for request in found))

    def bills(self, name: str, first: Day, last: Day) -> None:
        """OpenAI's and Anthropic's cost reports of these days as they stand now."""
        self.write(f"landing/openai/costs_{name}.json", _openai_page(self.known.traffic, first, last))
        self.write(f"landing/anthropic/cost_report_{name}.json", _anthropic_page(self.known, first, last))

    def desk_bill(self, month: str) -> None:
        """Seats, the support plan and tax."""
        self.learn(desk_bills=(*self.known.desk_bills, month))
        rows = [("Assistant seats", "Purchase", user, SEAT_COST) for user in PEOPLE]
        rows += [("Premium support", "Purchase", "", SUPPORT_COST), ("Sales tax", "Tax", "", TAX_COST)]
        lines = [(month, service, kind, user, f"DESK-{month}", decimal(amount), "USD") for service, kind, user, amount in rows]
        header = ("Month", "Service", "Kind", "User", "Invoice", "Amount", "Currency")
        self.write(f"landing/deskco/{month}.csv", _csv(header, lines))

    def invoice(self, provider: str, month: str, total: str) -> None:
        """One more invoice comes in."""
        key = (provider, month)
        totals = (*self.known.invoices.get(key, ()), total)
        self.learn(invoices={**self.known.invoices, key: totals})
        row = (f"{provider}-{month}-{len(totals)}", provider, ACCOUNTS[provider], f"{month}-01", self.known.as_of, "USD", total)
        path = self.folder / "finance" / "invoices.csv"
        known = path.read_text(encoding="utf-8") if path.exists() else f"{','.join(_INVOICE_COLUMNS)}\n"
        self.write("finance/invoices.csv", f"{known}{','.join(map(str, row))}\n")

    def dispute(self, line_id: str, amount: str, *, reason: str, takes_over: str) -> None:
        """An accepted dispute of the support team."""
        row = ("D-001", line_id, amount, reason, "cleo", "2026-08-20", "accepted", "", takes_over, "2026-08-28")
        self.write("finance/disputes/support.csv", _csv(_DISPUTE_COLUMNS, [row]))

    def directories(self) -> None:
        """Who belongs where, as known now."""
        opened = ("2026-01-01", "")
        people = [(user, user.title(), f"{user}@tidewater.example", team, *opened) for user, team in PEOPLE.items()]
        if self.known.moved:
            user, day, team = MOVE
            old, *others = people
            people = [(*old[:4], "2026-01-01", day), (*old[:3], team, day, ""), *others]
            assert old[0] == user
        teams = [
            (team, team.title(), place, place.title(), center, CENTERS[center][0], f"{team}@tidewater.example", *opened)
            for team, (place, center) in TEAMS.items()
        ]
        keys = [(SHARED_KEY, "nightly evaluation", team, share * 100, *opened) for team, share in SHARED_KEY_SPLIT.items()]
        centers = [(center, *texts, *opened) for center, texts in CENTERS.items()]
        units = [("labs", "Tidewater Labs", "", "", *opened)]
        departments = [(place, place.title(), "labs", "", *opened) for place in dict.fromkeys(p for p, _ in TEAMS.values())]
        for name, columns, rows in (
            ("users", "user_id,user_name,user_email,team_id", people),
            ("teams", _TEAM_COLUMNS, teams),
            ("api_keys", "api_key_id,api_key_name,team_id,split_pct", keys),
            ("cost_centers", "cost_center_id,cost_center_name,gl_account,owner_email", centers),
            ("business_units", "business_unit_id,business_unit_name,parent_id,owner_email", units),
            ("departments", "department_id,department_name,business_unit_id,owner_email", departments),
        ):
            self.write(f"directory/{name}.csv", _csv((*columns.split(","), "valid_from", "valid_to"), rows))

    def contract(self, *, has_change: bool) -> None:
        """Negotiated prices; the change of August is a second row."""
        spans = [("openai", GPT, START, PRICE_CHANGE if has_change else ""), ("anthropic", HAIKU, START, "")]
        spans += [("openai", GPT, PRICE_CHANGE, "")] * has_change
        rows = [
            (name, model, "standard", 0, first, end, *map(decimal, price(name, first)), "USD", "agreement 7")
            for name, model, first, end in spans
        ]
        header = "provider,model_id,processing,context_min_tokens,valid_from,valid_to,input_uncached_per_mtok,output_per_mtok"
        self.write("prices/contract.csv", _csv((*header.split(","), "currency", "note"), rows))


_TEAM_COLUMNS = "team_id,team_name,department_id,department_name,cost_center_id,cost_center_name,owner_email"
_INVOICE_COLUMNS = (
    *("invoice_id", "provider_name", "billing_account_id", "billing_month", "issued_date", "currency", "invoice_total"),
)
_DISPUTE_COLUMNS = (
    *("dispute_id", "line_id", "disputed_cost", "reason", "raised_by", "raised_date", "resolution", "accepted_cost"),
    *("charge_to_team_id", "resolved_date"),
)


def decimal(amount: Fraction) -> str:
    """All digits of an amount that has at most twelve decimals."""
    picos = amount * 10**12
    assert picos.denominator == 1
    return f"{Decimal(int(picos)).scaleb(-12).normalize():f}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerows([header, *rows])
    return target.getvalue()


def _log_row(request: Request) -> dict[str, object]:
    usage = {
        "prompt_tokens": request.input_tokens,
        "completion_tokens": request.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    return {
        "request_id": request.request_id,
        "litellm_call_id": request.request_id,
        "call_type": "acompletion",
        "api_key": request.key,
        "user": request.user,
        "team_id": "",
        "session_id": request.request_id,
        "model": request.model,
        "model_group": request.model,
        "custom_llm_provider": request.provider,
        "prompt_tokens": request.input_tokens,
        "completion_tokens": request.output_tokens,
        "total_tokens": request.input_tokens + request.output_tokens,
        "spend": 0.0,
        "startTime": f"{request.day} 09:00:00.000",
        "endTime": f"{request.day} 09:00:05.000",
        "request_duration_ms": 5000,
        "status": "success",
        "cache_hit": "None",
        "request_tags": "[]",
        "metadata": json.dumps({"usage_object": usage}),
        "updated_at": f"{request.day} 09:00:05.000",
    }


def _sums(found: Iterable[Request], provider: str, day: Day) -> tuple[int, int]:
    mine = [request for request in found if (request.provider, request.day) == (provider, day) and request.is_billed]
    return sum(request.input_tokens for request in mine), sum(request.output_tokens for request in mine)


def _openai_page(traffic: Sequence[Request], first: Day, last: Day) -> str:
    buckets = []
    for day in days(first, last):
        per_input, per_output = price("openai", day)
        inputs, outputs = _sums(traffic, "openai", day)
        lines = [
            (MAIN, f"{GPT}-2025-12-11, input", inputs * per_input / 1_000_000, inputs),
            (MAIN, f"{GPT}-2025-12-11, output", outputs * per_output / 1_000_000, outputs),
        ] * bool(inputs)
        lines += [(SANDBOX, f"{MINI}-2025-04-14, output", SANDBOX_COST, 781_250)] * (day.day == 20)
        start = int(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC).timestamp())
        results = ",".join(
            f'{{"object":"organization.costs.result","amount":{{"value":{decimal(amount)},"currency":"usd"}},'
            f'"line_item":"{item}","project_id":"{project}","api_key_id":null,"quantity":{count},"quantity_unit":"tokens"}}'
            for project, item, amount, count in lines
        )
        buckets.append(f'{{"object":"bucket","start_time":{start},"end_time":{start + 86400},"results":[{results}]}}')
    return f'{{"object":"page","has_more":false,"next_page":null,"data":[{",".join(buckets)}]}}\n'


def _anthropic_page(known: Known, first: Day, last: Day) -> str:
    buckets = []
    for day in days(first, last):
        counts = _sums(known.traffic, "anthropic", day)
        types = ("uncached_input_tokens", "output_tokens")
        results = [
            _anthropic_line(count * rate / 1_000_000, token_type)
            for count, rate, token_type in zip(counts, price("anthropic", day), types, strict=True)
            if count
        ]
        results += [_anthropic_line(CREDIT, None)] * (known.credit and day == CREDIT_DAY)
        end = day + dt.timedelta(days=1)
        buckets.append({"starting_at": f"{day}T00:00:00Z", "ending_at": f"{end}T00:00:00Z", "results": results})
    return json.dumps({"data": buckets, "has_more": False, "next_page": None})


def _anthropic_line(amount: Fraction, token_type: str | None) -> dict[str, object]:
    is_usage = token_type is not None
    return {
        "amount": decimal(amount * 100),
        "currency": "USD",
        "workspace_id": None,
        "description": f"Claude Haiku 4.5 Usage - {token_type}" if is_usage else "Service credit",
        "cost_type": "tokens" if is_usage else None,
        "token_type": token_type,
        "model": HAIKU if is_usage else None,
        "service_tier": "standard" if is_usage else None,
        "context_window": "0-200k" if is_usage else None,
        "inference_geo": "global" if is_usage else None,
    }


_SETTINGS = """\
version: "1"
organization: {{id: tidewater, name: Tidewater Labs}}
start_date: 2026-07-01
as_of_date: {as_of}
sources:
  - {{kind: litellm, name: gateway, account: tidewater-gateway, location: landing/litellm}}
  - {{kind: openai, name: openai, account: org-tidewater, location: landing/openai}}
  - {{kind: anthropic, name: anthropic, account: tidewater-anthropic, location: landing/anthropic}}
  - kind: generic
    name: desk
    account: tidewater-desk
    location: landing/deskco
    rows: charges
    grain: bucket
    period: month
    columns:
      period_start: Month
      service_name: Service
      charge_category: Kind
      user_id: User
      invoice_id: Invoice
      amount: Amount
      currency: Currency
    constants: {{provider_name: deskco}}
prices: {{contract_file: prices/contract.csv}}
reconciliation:
  invoice_tolerance_cost: 0.02
allocation:
  rules:
    - name: assistant-seats
      match: {{provider: [deskco], charge_kind: [seat]}}
      steps: [{{level: team, method: direct}}]
    - name: support-plan
      match: {{provider: [deskco], charge_kind: [support]}}
      steps:
        - {{level: department, method: fixed, shares: {{research: 60, operations: 40}}}}
        - {{level: team, method: even}}
    - name: sales-tax
      match: {{charge_kind: [tax]}}
      steps: [{{level: team, method: charged}}]
    - name: model-credit
      match: {{provider: [anthropic], charge_kind: [credit]}}
      steps: [{{level: team, method: fixed, shares: {{vision: 50, language: 50}}}}]
close:
  settle_days: 3
  gates: [{{provider: "*", unexplained_pct: 10}}]
journal: {{clearing_account: 2190-AI, unexplained_account: 6491-AI, unallocated_account: 6490-AI, rounding_account: 6498-AI}}
mail: {{mode: files, sender: AI usage <ai@tidewater.example>}}
reports:
  chargeback_recipients: [finance@tidewater.example]
  failure_recipients: [data@tidewater.example]
"""
