"""The papers of the three months: statements, change notes and mails, and what the commands tell of a published number."""

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance import published
from tests.acceptance.published import Tree, cents, money, of_month, pdf_text, rows, under
from tests.acceptance.three_months import ACCOUNTS, AUGUST, CENTERS, FINANCE, JULY, LATE_JULY, SEPTEMBER
from tests.acceptance.three_months_acts import DISPUTED, Act, Stage
from tests.acceptance.three_months_expected import Item, added, by_center, change, owed

LOGISTICS = Item("openai", "usage", "proj_main", "gpt-5.2", "allocated", "logistics")
MONTH_NAMES = {JULY: "July 2026", AUGUST: "August 2026", SEPTEMBER: "September 2026"}
OWNERS = {center: owner for center, (_, _, owner) in CENTERS.items()}
MOVED = {"cc-ops": -cents(DISPUTED), "cc-shared": cents(DISPUTED)}


def new_mails(before: Act, after: Act) -> list[tuple[str, str]]:
    """(recipient, subject) of the mails that the act sent."""
    return sorted(published.mail_of(after.out[path]) for path in after.mails - before.mails)


def totals(stage: Stage, name: str, month: str) -> dict[str, int]:
    """Cost center to cents of the month as it stands after an act."""
    act = stage.after(name)
    lines = owed(month, act.known)
    moved = {}
    if month == AUGUST:
        lines = added(lines, change(JULY, before=stage.after("july closed").known, now=act.known))
        moved = MOVED
    return {center: amount + moved.get(center, 0) for center, amount in by_center(lines).items()}


@pytest.mark.parametrize("center", CENTERS)
@pytest.mark.parametrize(
    ("name", "month"),
    [("july closed", JULY), ("august closed", AUGUST), ("august closed again", AUGUST), ("september closed", SEPTEMBER)],
)
def test_a_statement_says_what_its_cost_center_owes(stage: Stage, name: str, month: str, center: str) -> None:
    files = of_month(stage.after(name).out, month)
    total = totals(stage, name, month)[center]
    assert sum(cents(row["allocated_cost"]) for row in rows(files[f"statement_{center}.csv"])) == total
    text = pdf_text(files[f"statement_{center}.pdf"])
    assert money(total) in text
    assert MONTH_NAMES[month] in text
    assert CENTERS[center][0] in text


@pytest.mark.parametrize(("name", "month"), [("july closed", JULY), ("august closed", AUGUST), ("september closed", SEPTEMBER)])
def test_a_closed_month_mails_each_cost_center_its_statement_once(stage: Stage, name: str, month: str) -> None:
    mails = new_mails(*stage.around(name))
    for owner in OWNERS.values():
        assert [month_in(subject, month) for to, subject in mails if owner in to] == [True], (owner, mails)


def month_in(subject: str, month: str) -> bool:
    return MONTH_NAMES[month] in subject


def test_no_statement_is_mailed_before_its_month_is_closed(stage: Stage) -> None:
    for name in ("july over", "july held", "august refused"):
        assert [to for to, _ in new_mails(*stage.around(name)) if any(owner in to for owner in OWNERS.values())] == []


def test_nobody_gets_the_same_mail_twice(stage: Stage) -> None:
    act = stage.after("september closed")
    contents = Counter((published.mail_of(act.out[path])[0], published.body_of(act.out[path])) for path in act.mails)
    assert [key for key, count in contents.items() if count > 1] == []


def test_finance_is_mailed_each_month_and_each_restatement(stage: Stage) -> None:
    found = {name: [s for to, s in new_mails(*stage.around(name)) if FINANCE in to] for name in ("july closed", "august closed")}
    assert any(month_in(subject, JULY) for subject in found["july closed"])
    again = [s for to, s in new_mails(*stage.around("august closed again")) if FINANCE in to]
    assert any(month_in(subject, AUGUST) for subject in again)


def plain(amount: int) -> str:
    """Cents as tables of papers print them."""
    return f"{Decimal(amount) / 100:,.2f}"


def test_who_got_july_is_told_what_changed_since(stage: Stage) -> None:
    july, august = stage.after("july closed"), stage.after("august closed")
    assert under(july.out, "out/changes") == {}
    (note,) = [
        content
        for path, content in under(august.out, f"out/changes/{JULY}").items()
        if path.count("/") == 3 and path.endswith(".pdf")
    ]
    text = pdf_text(note)
    before = by_center(owed(JULY, july.known))
    corrections = by_center(change(JULY, before=july.known, now=august.known))
    for center, (name, _, _) in CENTERS.items():
        moved = corrections[center] + MOVED.get(center, 0)
        assert f"{name} {center} {plain(before[center])} {plain(before[center] + moved)} +{plain(moved)}" in text
    assert f"Total {plain(sum(before.values()))} {plain(sum(before.values()) + 300)} +3.00" in text
    mails = [
        s for to, s in new_mails(*stage.around("august closed")) if FINANCE in to and MONTH_NAMES[JULY] in s and "changed" in s
    ]
    assert len(mails) == 1
    assert "+$3.00" in mails[0]


def test_no_note_tells_of_a_correction_that_is_not_booked(stage: Stage) -> None:
    """August was reopened and took its late usage home: September corrects nothing, so no paper may say that it does."""
    out = stage.after("september closed").out
    assert [path for path in under(out, f"out/changes/{AUGUST}") if path.count("/") == 3 and path.endswith(".pdf")] == []


def correction_line(stage: Stage) -> str:
    """Id of August's line that corrects logistics' July."""
    found = published.frame(stage.after("august closed").out, AUGUST).rows(named=True)
    (line,) = [
        row["line_id"]
        for row in found
        if row["corrects_month"] and not row["dispute_id"] and (row["team_id"], row["provider_name"]) == ("logistics", "openai")
    ]
    return str(line)


def test_a_correction_is_explained_down_to_the_late_file(stage: Stage) -> None:
    line = correction_line(stage)
    stage.after("september closed")
    said = stage.play.command("explain", line)
    assert said.code == 0, said.text
    booked = owed(JULY, stage.after("july closed").known)[LOGISTICS]
    wanted = (line, JULY, "Logistics", "3.00 USD", f"{plain(booked)} USD", f"{plain(booked + 300)} USD")
    assert [words for words in wanted if words not in said.text] == []
    assert all(request.request_id in said.text for request in LATE_JULY if request.provider == "openai")
    assert "2026-09-05_late_july.jsonl" in said.text


def test_a_line_of_a_closed_month_is_explained_with_its_rule(stage: Stage) -> None:
    act = stage.after("september closed")
    line = next(row for row in published.frame(act.out, JULY).rows(named=True) if row["rule_name"] == "sales-tax")
    said = stage.play.command("explain", line["line_id"])
    assert said.code == 0, said.text
    assert "sales-tax" in said.text
    assert "DESK-2026-07" in said.text


def test_an_unknown_line_is_said_to_be_unknown(stage: Stage) -> None:
    stage.after("september closed")
    said = stage.play.command("explain", "0" * 32)
    assert said.code == 1
    assert "0" * 32 in said.text


def test_two_closings_of_august_differ_by_the_late_usage_and_the_reason_is_said(stage: Stage) -> None:
    stage.after("september closed")
    out = stage.after("august closed again").out
    versions = [manifest["version"] for manifest in closed_manifests(out, AUGUST)]
    said = stage.play.command("diff", *(f"{AUGUST}@v{version}" for version in versions))
    assert said.code == 0, said.text
    assert "auditors want it in August" in said.text
    lines = [line.split() for line in said.text.splitlines()]
    totals = [
        sum(cents(row["allocated_cost"]) for row in rows(of_month(stage.after(name).out, AUGUST)["chargeback.csv"]))
        for name in ("august closed", "august closed again")
    ]
    assert ["total", *map(plain, totals), "+5.00", "USD"] in [line[:1] + line[2:] for line in lines]
    assert [line[0] for line in lines if "changed" in line[1:2]] != []
    assert [center for center in CENTERS if f"({center})" in said.text] == ["cc-shared"]


def closed_manifests(out: Tree, month: str) -> list[dict[str, Any]]:
    """Manifests of the month's closed versions, the oldest first."""
    kept = [json.loads(content) for path, content in under(out, f"out/chargeback/{month}").items() if _is_kept_manifest(path)]
    return sorted((found for found in kept if found["period_status"] == "closed"), key=lambda found: int(found["version"]))


def _is_kept_manifest(path: str) -> bool:
    return "/v-" in path and path.endswith("/manifest.json")


def test_periods_list_every_closing(stage: Stage) -> None:
    stage.after("september closed")
    said = stage.play.command("periods")
    assert said.code == 0, said.text
    rows = [line.split() for line in said.text.splitlines()]
    closings = {(row[0], row[1]): row[3] for row in rows if row[2:3] == ["closed"]}
    wanted = {(month, provider): "1" for month in MONTH_NAMES for provider in ACCOUNTS} | {(AUGUST, "openai"): "2"}
    assert closings == wanted


def test_a_reopening_needs_a_reason_and_comes_after_later_months(stage: Stage) -> None:
    act = stage.after("september closed")
    for reason in ("", "  ", "later months are closed"):
        said = stage.play.command("reopen", JULY, "--provider", "openai", "--reason", reason)
        assert said.code != 0
    assert AUGUST in said.text
    assert stage.play.picture().out == act.out


def test_a_report_can_be_made_again_as_its_tables_stood(stage: Stage) -> None:
    act = stage.after("september closed")
    said = stage.play.command("report", "--as-of", "2026-01-01")
    assert said.code == 1
    again = stage.play.picture()
    assert {path: again.out[path] for path in act.out} == act.out


def test_manifests_chain_each_version_to_the_one_before(stage: Stage) -> None:
    out = stage.after("september closed").out
    for month in MONTH_NAMES:
        kept = {
            published.sha256(content): json.loads(content)
            for path, content in under(out, f"out/chargeback/{month}").items()
            if _is_kept_manifest(path)
        }
        newest = published.manifest(out, month)
        chain = [newest]
        while chain[-1]["restates"] is not None:
            chain.append(kept[chain[-1]["restates"]])
        assert len(chain) == len(kept), month
        assert [content["period_status"] for content in chain[:1]] == ["closed"]
