"""Three months as finance lives them: open, preliminary, closed, late files, a price change, a credit, a dispute, a restatement.

Each test looks at the stage after one act. Amounts are compared with a reference that shares no code with the product, files
with what they were before: byte for byte.
"""

import datetime as dt
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.acceptance import published
from tests.acceptance.published import STABLE, Tree, cents, manifest, of_month, under
from tests.acceptance.three_months import ACCOUNTS, AUGUST, CENTERS, FIRST_DAY, JULY, SEPTEMBER, TEAMS, Known
from tests.acceptance.three_months_acts import DISPUTED, Act, Play, Stage
from tests.acceptance.three_months_expected import NOBODY, NOTHING, Item, added, by_center, by_team, change, owed

MONTHS = (JULY, AUGUST, SEPTEMBER)
JULY_LATE = Item("openai", "usage", "proj_main", "gpt-5.2", "allocated", "logistics", corrects=JULY)
AUGUST_LATE = Item("openai", "usage", "proj_main", "gpt-5.2", "allocated", "platform", corrects=AUGUST)
MOVED = {"support": -cents(DISPUTED), "platform": cents(DISPUTED)}
"""Team to what the accepted dispute moves."""


def changed(before: Act, after: Act) -> set[str]:
    """Paths whose bytes are new, other or gone; mails apart."""
    paths = {path for path in {*before.out, *after.out} if not path.endswith(".eml")}
    return {path for path in paths if before.out.get(path) != after.out.get(path)}


def changed_months(before: Act, after: Act) -> set[str]:
    """Months whose finance files changed."""
    return {path.split("/")[2] for path in changed(before, after) if path.startswith("out/chargeback/")}


def version_of(act: Act, month: str) -> str:
    """sha256 of the manifest in force."""
    found: str = json.loads(of_month(act.out, month)["latest.json"])["manifest_sha256"]
    return found


def nonzero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {key: amount for key, amount in amounts.items() if amount}


def by_provider(lines: Mapping[Item, int]) -> dict[str, int]:
    """Cents of each provider."""
    return {provider: sum(c for item, c in lines.items() if item.provider == provider) for provider in ACCOUNTS}


def invoiced(month: str, known: Known) -> dict[str, int]:
    """Provider to cents of its invoices; deskco's lines name theirs."""
    registered = {name: sum(map(cents, totals)) for (name, of), totals in known.invoices.items() if of == month}
    return {**registered, "deskco": 13_750}


def check_month(act: Act, month: str, wanted: Mapping[Item, int], *, moved: Mapping[str, int] | None = None) -> None:
    """Every file of the month says what the reference says, to the last cent."""
    assert published.lines(act.out, month) == wanted
    disputed = moved or {}
    assert published.disputes(act.out, month) == {("D-001", team): amount for team, amount in disputed.items()}
    files = of_month(act.out, month)
    assert set(STABLE) <= set(files)
    teams, centers = defaultdict(int, by_team(wanted)), defaultdict(int, by_center(wanted))
    for team, amount in disputed.items():
        teams[team] += amount
        centers[TEAMS[team][1]] += amount
    assert published.by(files["chargeback.csv"], "team_id", "allocated_cost") == teams
    assert published.by(files["chargeback_by_cost_center.csv"], "cost_center_id", "allocated_cost") == centers
    assert nonzero(published.by(files["focus.csv"], "x_TeamId", "BilledCost")) == nonzero(teams)
    check_journal(files["journal.csv"], centers, wanted)
    check_manifest(act.out, month, total=sum(centers.values()))


def check_journal(content: bytes, centers: Mapping[str, int], wanted: Mapping[Item, int]) -> None:
    """Accounts of cost centers get what they owe, the clearing account is emptied by the same."""
    rounding = sum(amount for item, amount in wanted.items() if item.line_kind == "rounding")
    accounts = {account: centers.get(center, 0) for center, (_, account, _) in CENTERS.items()}
    accounts |= {"6490-AI": centers.get(NOBODY, 0) - rounding, "6491-AI": centers.get(NOTHING, 0), "6498-AI": rounding}
    accounts["2190-AI"] = -sum(accounts.values())
    assert nonzero(published.booked(content, "gl_account")) == nonzero(accounts)


def check_manifest(out: Tree, month: str, *, total: int) -> None:
    """Every file of the month stands in it with its hash and size, and its total is theirs."""
    content, files = manifest(out, month), of_month(out, month)
    listed = {entry["name"]: entry for entry in content["files"]}
    assert set(files) - {"manifest.json", "latest.json"} == set(listed)
    for name, entry in listed.items():
        assert (entry["sha256"], entry["bytes_count"]) == (published.sha256(files[name]), len(files[name])), name
    assert cents(content["control_totals"]["USD"]["allocated_cost"]) == total


def test_a_running_month_shows_what_was_used_so_far(stage: Stage) -> None:
    act = stage.after("july open")
    check_month(act, JULY, owed(JULY, act.known))
    assert manifest(act.out, JULY)["period_status"] == "open"


def test_a_month_that_is_over_is_preliminary_and_whole(stage: Stage) -> None:
    before, act = stage.around("july over")
    wanted = owed(JULY, act.known)
    check_month(act, JULY, wanted)
    assert manifest(act.out, JULY)["period_status"] == "preliminary"
    assert manifest(act.out, JULY)["restates"] == version_of(before, JULY)
    desk = by_team({item: amount for item, amount in wanted.items() if item.provider == "deskco"})
    assert desk == {"vision": 3080, "language": 3080, "support": 2530, "logistics": 2530, "platform": 2530}


def test_providers_whose_invoice_is_missing_are_not_closed(stage: Stage) -> None:
    before, act = stage.around("july held")
    (said,) = act.said
    assert said.code == 1
    assert "closed 2026-07 of deskco" in said.text  # its bill names its invoice
    for provider in ("openai", "anthropic"):
        assert f"not closed: 2026-07 of {provider}" in said.text
        assert f"no invoice of account {ACCOUNTS[provider]} is registered" in said.text
    check_month(act, JULY, owed(JULY, act.known))
    statuses = {row["provider_name"]: row["period_status"] for row in published.frame(act.out, JULY).rows(named=True)}
    assert statuses == {"deskco": "closed", "openai": "preliminary", "anthropic": "preliminary"}
    assert manifest(act.out, JULY)["period_status"] == "preliminary"
    assert published.lines(act.out, JULY) == published.lines(before.out, JULY)


def test_closing_july_publishes_it_for_good(stage: Stage) -> None:
    before, act = stage.around("july closed")
    (said,) = act.said
    assert said.code == 0, said.text
    wanted = owed(JULY, act.known)
    check_month(act, JULY, wanted)
    assert manifest(act.out, JULY)["period_status"] == "closed"
    assert by_provider(wanted) == invoiced(JULY, act.known)
    assert [amount for item, amount in wanted.items() if item.line_kind == "rounding"] == [1]
    assert JULY in changed_months(before, act)


def test_a_bill_above_its_invoices_stops_everything_by_name(stage: Stage) -> None:
    before, act = stage.around("august refused")
    (said,) = act.said
    assert said.code == 1
    assert "2026-07" in said.text
    assert "21.79" in said.text
    assert "24.7901" in said.text
    assert changed(before, act) == set()


def test_july_stays_and_august_carries_its_corrections(stage: Stage) -> None:
    before, act = stage.around("august over")
    corrections = change(JULY, before=before_late(stage), now=act.known)
    assert corrections[JULY_LATE] == 300
    assert sum(amount for item, amount in corrections.items() if item.provider == "anthropic") == 0
    assert {item.team for item in corrections if item.provider == "anthropic"} == {*TEAMS, NOBODY}
    check_month(act, AUGUST, added(owed(AUGUST, act.known), corrections), moved=MOVED)
    assert JULY not in changed_months(before, act)
    credit = {item.team: amount for item, amount in owed(AUGUST, act.known).items() if item.charge_kind == "credit"}
    assert credit == {"vision": -1000, "language": -1000}


def before_late(stage: Stage) -> Known:
    """What was known when July was closed."""
    return stage.after("july closed").known


def test_corrections_say_what_they_correct_and_why(stage: Stage) -> None:
    found = published.frame(stage.after("august over").out, AUGUST).rows(named=True)
    corrected = [row for row in found if row["corrects_month"] and not row["dispute_id"]]
    assert {row["charge_class"] for row in corrected} == {"Correction"}
    assert {row["corrects_month"] for row in corrected} == {dt.date(2026, 7, 1)}
    reasons = {row["provider_name"]: row["correction_reason"] for row in corrected}
    assert set(reasons) == {"openai", "anthropic"}
    assert all(words in reasons["openai"] for words in ("usage restated", "bill restated", "invoice changed"))
    assert "usage restated" in reasons["anthropic"]
    assert not any(words in reasons["anthropic"] for words in ("bill restated", "invoice changed"))


def test_closing_august_changes_its_status_and_no_amount(stage: Stage) -> None:
    before, act = stage.around("august closed")
    assert [said.code for said in act.said] == [0], act.said
    assert published.lines(act.out, AUGUST) == published.lines(before.out, AUGUST)
    corrections = change(JULY, before=before_late(stage), now=act.known)
    check_month(act, AUGUST, added(owed(AUGUST, act.known), corrections), moved=MOVED)
    assert manifest(act.out, AUGUST)["period_status"] == "closed"
    assert JULY not in changed_months(before, act)
    closed = {**invoiced(AUGUST, act.known), "openai": invoiced(AUGUST, act.known)["openai"] + 300}
    assert by_provider(published.lines(act.out, AUGUST)) == closed


def test_september_corrects_august_and_leaves_both_closed_months(stage: Stage) -> None:
    before, act = stage.around("september over")
    corrections = change(AUGUST, before=stage.after("august closed").known, now=act.known)
    assert corrections == {AUGUST_LATE: 500}
    check_month(act, SEPTEMBER, added(owed(SEPTEMBER, act.known), corrections))
    assert changed_months(before, act).isdisjoint({JULY, AUGUST})


def test_august_reopened_takes_its_late_usage_home(stage: Stage) -> None:
    before, act = stage.around("august closed again")
    assert [said.code for said in act.said] == [0, 0], act.said
    of_july = change(JULY, before=before_late(stage), now=act.known)
    check_month(act, AUGUST, added(owed(AUGUST, act.known), of_july), moved=MOVED)
    assert manifest(act.out, AUGUST)["period_status"] == "closed"
    assert manifest(act.out, AUGUST)["restates"] is not None
    assert JULY not in changed_months(before, act)
    kept = f"out/chargeback/{AUGUST}/v-{version_of(before, AUGUST)[:12]}"
    assert under(act.out, kept) == under(before.out, kept) != {}
    late = {item: amount for item, amount in published.lines(act.out, AUGUST).items() if item.team == "platform"}
    early = {item: amount for item, amount in published.lines(before.out, AUGUST).items() if item.team == "platform"}
    assert sum(late.values()) - sum(early.values()) == 500


def test_what_went_home_is_no_correction_any_more(stage: Stage) -> None:
    before, act = stage.around("september closed")
    assert [said.code for said in act.said] == [0], act.said
    check_month(act, SEPTEMBER, owed(SEPTEMBER, act.known))
    assert manifest(act.out, SEPTEMBER)["period_status"] == "closed"
    assert changed_months(before, act).isdisjoint({JULY, AUGUST})


def test_july_is_the_same_to_the_byte_from_its_closing_to_the_end(stage: Stage) -> None:
    folder = f"out/chargeback/{JULY}"
    last = stage.after("september closed")
    assert under(last.out, folder) == under(stage.after("july closed").out, folder)


def test_three_months_booked_are_all_invoices_and_what_is_known_now(stage: Stage) -> None:
    act = stage.after("september closed")
    booked: defaultdict[str, int] = defaultdict(int)
    known: defaultdict[str, int] = defaultdict(int, MOVED)
    for month in MONTHS:
        for row in published.rows(of_month(act.out, month)["chargeback.csv"]):
            booked[row["team_id"]] += cents(row["allocated_cost"])
        for team, amount in by_team(owed(month, act.known)).items():
            known[team] += amount
    assert booked == known
    paid = [amount for month in MONTHS for amount in invoiced(month, act.known).values()]
    assert sum(booked.values()) == sum(paid)


def deliver_again(play: Play) -> None:
    """July's deliveries once more, the late ones too: logs and bills as other bytes of the same rows."""
    landing = play.story.folder / "landing"
    for path in sorted([*landing.rglob("*2026-08-05*"), *landing.rglob("*july*")]):
        again = path.with_name(f"zz_again_{path.name}")
        if path.suffix == ".jsonl":
            again.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        else:
            again.write_bytes(path.read_bytes() + b"\n")
    play.run_well()


def upgrade(play: Play) -> None:
    """A newer program computes September again, and would write another version of FOCUS."""
    settings = play.installation.config.read_text(encoding="utf-8")
    play.installation.config.write_text(settings.replace("reports:\n", "reports:\n  focus_version: '1.3'\n"), encoding="utf-8")
    with ExitStack() as patched:
        for module in ("usage_etl.lake.tables", "assets.closing_inputs", "assets.publishing"):
            patched.enter_context(patch(f"{module}.__version__", "99.0"))
        play.run_well(first=dt.date(2026, 9, 20))


RERUNS: Mapping[str, Callable[[Play], object]] = {
    "run again": Play.run_well,
    "backfill of every day": lambda play: play.run_well(first=FIRST_DAY),
    "July's deliveries again": deliver_again,
    "close again": lambda play: play.command("close", SEPTEMBER),
    "a newer program": upgrade,
}


@pytest.mark.parametrize("how", RERUNS)
def test_no_rerun_changes_a_byte_or_mails_anybody(stage: Stage, tmp_path: Path, how: str) -> None:
    stage.after("september closed")
    play = stage.copy(tmp_path / "again")
    before = play.picture()
    RERUNS[how](play)
    after = play.picture()
    closed = [f"out/chargeback/{month}" for month in MONTHS] + ["out/changes"]
    for folder in closed:
        assert under(after.out, folder) == under(before.out, folder), folder
    assert after.mails == before.mails
