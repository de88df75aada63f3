"""The command line as a newcomer meets it: start, check, run on logs alone, mend, verify; each exit code and message."""

import datetime as dt
import gzip
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pypdf
import pytest

from tests.acceptance.installation import Installation
from usage_etl.cli import doctor
from usage_etl.cli.doctor import Check, explain_render, run_checks
from usage_etl.cli.main import main
from usage_etl.config import load_settings
from usage_etl.schemas import FACT_USAGE_DAILY, MART_CHARGEBACK_MONTHLY, MART_SUMMARY
from usage_etl.schemas.summary import of_window
from usage_etl.sources.registry import SOURCE_KINDS

ROOT = Path(__file__).parents[2]
STARTED = {
    "usage_etl.yaml", "prices/contract.csv", "directory/users.csv", "directory/teams.csv", "directory/api_keys.csv",
    "directory/features.csv", "directory/budgets.csv", "directory/quotas.csv", "directory/entitlements.csv",
    "directory/business_units.csv", "directory/departments.csv",
    "directory/cost_centers.csv", "directory/projects.csv", "directory/investigations.csv", "finance/invoices.csv",
    "finance/fx_rates.csv", "finance/disputes/my-team.csv",
}  # fmt: skip
BOTH_APIS = """
  - {kind: openai, name: openai, api_key: {env: OPENAI_ADMIN_KEY}}
  - {kind: anthropic, name: anthropic, api_key: {env: ANTHROPIC_ADMIN_KEY}}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def usage_etl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command ``usage-etl`` in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the child that renders doctor's probe page
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("OPENAI_ADMIN_KEY", "ANTHROPIC_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["usage-etl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def without_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor without its probe page, which takes seconds and has a test of its own."""
    monkeypatch.setattr(doctor, "render_checks", lambda: [Check("PDF rendering", True, "left out")])


@pytest.fixture
def started(usage_etl: Command, tmp_path: Path) -> Installation:
    """A folder after ``init``, its lake beginning with November 2026, where the demo's short logs are."""
    assert usage_etl("init").code == 0
    installation = Installation(tmp_path)
    text = installation.config.read_text(encoding="utf-8")
    first = next(line for line in text.splitlines() if line.startswith("start_date:"))
    installation.config.write_text(text.replace(first, "start_date: 2026-11-01"), encoding="utf-8")
    return installation


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_init_writes_a_starter_that_loads(usage_etl: Command, tmp_path: Path) -> None:
    outcome = usage_etl("init", "fresh")
    assert outcome.code == 0
    assert files(tmp_path / "fresh") == STARTED
    assert outcome.out.count("wrote ") == len(STARTED)
    assert "usage-etl doctor" in outcome.out
    settings = load_settings(tmp_path / "fresh" / "usage_etl.yaml", kinds=SOURCE_KINDS)
    assert [source.kind for source in settings.sources] == ["litellm"]
    assert (tmp_path / "fresh" / "landing" / "litellm").is_dir()


def test_every_commented_key_of_the_starter_is_one_that_is_known(usage_etl: Command, tmp_path: Path) -> None:
    usage_etl("init")
    starter = tmp_path / "usage_etl.yaml"
    optional = re.compile(r"^( *)# (prices:|- kind: |  )", re.MULTILINE)
    starter.write_text(optional.sub(r"\1\2", starter.read_text(encoding="utf-8")), encoding="utf-8")
    settings = load_settings(starter, kinds=SOURCE_KINDS)
    assert [source.kind for source in settings.sources] == ["litellm", "openai", "anthropic"]
    assert settings.prices.contract_file == "prices/contract.csv"


def test_init_touches_nothing_that_exists(usage_etl: Command, tmp_path: Path) -> None:
    usage_etl("init")
    for name in ("usage_etl.yaml", "directory/users.csv"):
        (tmp_path / name).write_text("mine\n", encoding="utf-8")
    (tmp_path / "directory/teams.csv").unlink()
    outcome = usage_etl("init")
    assert [line for line in outcome.out.splitlines() if line.startswith("wrote")] == ["wrote directory/teams.csv"]
    assert (tmp_path / "usage_etl.yaml").read_text(encoding="utf-8") == "mine\n"
    assert (tmp_path / "directory/users.csv").read_text(encoding="utf-8") == "mine\n"


def test_doctor_passes_a_ready_installation(usage_etl: Command, started: Installation, short_files: Path) -> None:
    shutil.copytree(short_files / "landing" / "litellm", started.folder / "landing" / "litellm", dirs_exist_ok=True)
    outcome = usage_etl("doctor")
    assert outcome.code == 0, outcome.out
    assert "FAIL" not in outcome.out
    assert "a probe page was rendered" in outcome.out
    assert f"{len(list((short_files / 'landing' / 'litellm').iterdir()))} object(s)" in outcome.out


@pytest.mark.usefixtures("without_rendering")
def test_doctor_names_an_empty_landing_folder_and_how_to_mend_it(usage_etl: Command, started: Installation) -> None:
    outcome = usage_etl("doctor")
    assert outcome.code == 1
    assert "FAIL source gateway" in outcome.out
    assert "-> no object yet: check the location, or wait for the first export" in outcome.out
    assert not any(path.startswith("lake/") for path in files(started.folder)), "the probe object is gone"


@pytest.mark.usefixtures("without_rendering")
def test_doctor_names_the_owner_of_a_rule_that_no_directory_knows(usage_etl: Command, started: Installation) -> None:
    rules = "allocation:\n  rules:\n    - {name: gifts, steps: [{level: team, method: fixed, shares: {team-ghost: 100}}]}\n"
    started.config.write_text(started.config.read_text(encoding="utf-8") + rules, encoding="utf-8")
    outcome = usage_etl("doctor")
    assert outcome.code == 1
    assert "FAIL allocation rules" in outcome.out
    assert "rule gifts: team team-ghost is in no directory" in outcome.out


@pytest.mark.usefixtures("without_rendering")
def test_doctor_prints_a_remedy_for_every_fault(usage_etl: Command, started: Installation) -> None:
    text = started.config.read_text(encoding="utf-8").replace("{mode: files}", "{mode: smtp, host: 127.0.0.1, port: 9}")
    started.config.write_text(text.replace("{location: lake}", "{location: usage_etl.yaml}"), encoding="utf-8")
    shutil.rmtree(started.folder / "landing")
    (started.folder / "prices" / "contract.csv").write_text("provider\nacme\n", encoding="utf-8")
    outcome = usage_etl("doctor")
    failed = [check for check in run_checks(started.config) if not check.passed]
    assert {check.name for check in failed} >= {"lake", "mail", "source gateway"}
    assert all(check.remedy for check in failed)
    assert outcome.out.count("FAIL") == outcome.out.count("     -> ") == len(failed)
    assert f"{len(failed)} to mend" in outcome.out


@pytest.mark.usefixtures("without_rendering")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mode: files", "mode: pigeon", "mail.mode: Input should be 'files' or 'smtp' (found 'pigeon')"),
        ("mail:", "mial:", "mial: unknown key; known here are al"),
        ("version: 1", "version: [", "not valid YAML"),
    ],
)
def test_unreadable_settings_are_one_message_and_exit_code_2(
    usage_etl: Command, started: Installation, old: str, new: str, said: str
) -> None:
    started.config.write_text(started.config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    for command in ("doctor", "run", "verify"):
        outcome = usage_etl(command)
        assert outcome.code == 2
        text = outcome.out + outcome.err
        assert "usage_etl.yaml: 1 problem(s) in the configuration" in text
        assert text.count(said) == 1
        assert "Traceback" not in text


@pytest.mark.usefixtures("without_rendering")
def test_without_settings_the_way_to_get_them_is_named(usage_etl: Command) -> None:
    for command in ("doctor", "run"):
        outcome = usage_etl(command)
        assert outcome.code == 2
        assert "usage-etl init" in outcome.out + outcome.err


@pytest.mark.usefixtures("without_rendering")
def test_missing_credentials_are_named_all_at_once(usage_etl: Command, started: Installation) -> None:
    text = started.config.read_text(encoding="utf-8")
    started.config.write_text(text.replace("\nprices:", f"{BOTH_APIS}\nprices:"), encoding="utf-8")
    outcomes = [usage_etl("run")]
    assert not (started.folder / "lake").exists(), "nothing ran"
    for outcome in (*outcomes, usage_etl("doctor")):
        assert outcome.code == 2
        for number, variable in ((1, "OPENAI_ADMIN_KEY"), (2, "ANTHROPIC_ADMIN_KEY")):
            assert f"sources.{number}.api_key: environment variable {variable} is not set" in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("code", "stderr", "seen", "remedy"),
    [
        (0, "", "a probe page was rendered", ""),
        (-signal.SIGSEGV, "", "segmentation fault", "fonts-dejavu-core"),
        (1, "OSError: cannot load library 'libpango-1.0-0'", "cannot load library", "libpango-1.0-0"),
        (1, "Traceback ...\nModuleNotFoundError: No module named 'x'\n", "No module named 'x'", "by hand"),
        (-9, "", "exit code -9", "by hand"),
    ],
)
def test_how_a_probe_page_ended_is_explained(code: int, stderr: str, seen: str, remedy: str) -> None:
    check = explain_render(code, stderr)
    assert check.passed == (code == 0)
    assert seen in check.seen
    assert remedy in check.remedy
    assert bool(check.remedy) != check.passed


def test_an_empty_landing_folder_gives_reports_that_say_so(usage_etl: Command, started: Installation) -> None:
    outcome = usage_etl("run", "--from", "2026-11-18", "--to", "2026-11-19")
    assert outcome.code == 0, outcome.out + outcome.err
    text = "".join(page.extract_text() for page in pypdf.PdfReader(report(started, "report.pdf")).pages)
    assert "no data" in text
    assert "$0" not in text.replace("$0.00 billed", "")
    assert started.table(MART_CHARGEBACK_MONTHLY).is_empty()
    assert started.mails() == []


def report(installation: Installation, name: str) -> Path:
    return installation.folder / "out" / "executive" / "2026-11" / name


def test_logs_alone_give_reports_with_everything_unallocated_and_estimated(
    usage_etl: Command, started: Installation, short_files: Path
) -> None:
    for day in (16, 17, 18):
        name = f"spend_logs_2026-11-{day}.jsonl.gz"
        shutil.copy(short_files / "landing" / "litellm" / name, started.folder / "landing" / "litellm" / name)
    outcome = usage_etl("run", "--from", "2026-11-16", "--to", "2026-11-18")
    assert outcome.code == 0, outcome.out + outcome.err
    assert str(report(started, "report.pdf")) in outcome.out.replace("\n", "")
    facts = started.table(FACT_USAGE_DAILY)
    assert set(facts["team_id"]) == {"unallocated"}
    assert facts["requests_count"].sum() > 100
    lines = started.table(MART_CHARGEBACK_MONTHLY)
    assert set(lines["charge_basis"]) == {"priced_usage"}
    assert set(lines["line_kind"]) <= {"estimate", "unallocated"}
    cost = Decimal(facts["effective_cost"].sum())
    assert abs(lines["allocated_cost"].sum() - cost) < Decimal("0.05")
    whole = of_window(started.table(MART_SUMMARY)).filter(pl.col("dimension") == "organization").row(0, named=True)
    assert whole["effective_cost"] == cost
    pages = pypdf.PdfReader(report(started, "report.pdf")).pages
    assert len(pages) == 2
    text = " ".join("".join(page.extract_text() for page in pages).split())
    assert "of usage has no owner" in text
    assert "no bill yet" in text
    assert started.mails() == [], "nobody is to be mailed"


def test_a_day_outside_the_lake_is_refused_with_its_bounds(usage_etl: Command, started: Installation) -> None:
    for window in (("--from", "2026-11-05", "--to", "2026-11-01"), ("--to", "2026-10-31")):
        outcome = usage_etl("run", *window)
        assert outcome.code == 1
        assert outcome.err.startswith("error: nothing to build from ")
        assert "the lake holds 2026-11-01 (start_date) to " in outcome.err
        assert "Traceback" not in outcome.err
    assert not (started.folder / "lake").exists(), "nothing ran"


def test_a_shrunken_delivery_is_held_until_it_is_released(usage_etl: Command, short_copy: Installation) -> None:
    log = short_copy.folder / "landing" / "litellm" / "spend_logs_2026-11-17.jsonl.gz"
    before = short_copy.table(FACT_USAGE_DAILY)
    lines = gzip.decompress(log.read_bytes()).splitlines(keepends=True)
    middle = lines[len(lines) // 2].replace(b'"completion_tokens":', b'"completion_tokens":1', 1)
    mended = middle.replace(b'"updated_at":"2026', b'"updated_at":"2036', 1)
    log.write_bytes(gzip.compress(mended))
    window = ("--config", short_copy.config, "--from", "2026-11-17", "--to", "2026-11-17", "--no-reports")
    assert usage_etl("run", *window).code == 0
    (held,) = [item for item in short_copy.workspace.index.deliveries() if item.status == "held"]
    assert f"1 record(s), the last good delivery had {len(lines)}" in (held.status_reason or "")
    assert short_copy.table(FACT_USAGE_DAILY).equals(before)
    refused = usage_etl("release", "no-such-id", "--config", short_copy.config)
    assert refused.code == 1
    assert held.delivery_id in refused.err
    assert usage_etl("release", held.delivery_id, "--config", short_copy.config).code == 0
    assert usage_etl("run", *window).code == 0
    after = short_copy.table(FACT_USAGE_DAILY)
    assert after["requests_count"].sum() == before["requests_count"].sum()
    assert not after.equals(before)


def test_verify_finds_a_flipped_byte_and_names_it(usage_etl: Command, short_copy: Installation) -> None:
    sound = usage_etl("verify", "--config", short_copy.config)
    assert (sound.code, sound.out) == (0, "0 fault(s)\n")
    damaged = short_copy.folder / "lake" / "fact_usage_monthly" / "month=2026-11-01" / "part.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    outcome = usage_etl("verify", "--config", short_copy.config)
    assert outcome.code == 1
    assert outcome.out == "1 fault(s)\n"
    assert "fact_usage_monthly" in outcome.err
    assert "sha256" in outcome.err


def test_summary_of_any_days_is_what_the_facts_say(usage_etl: Command, short: Installation) -> None:
    days = short.table(FACT_USAGE_DAILY).filter(pl.col("usage_date").is_between(dt.date(2026, 11, 18), dt.date(2026, 11, 19)))
    asked = ("summary", "--from", "2026-11-18", "--to", "2026-11-19", "--config", short.config)
    outcome = usage_etl(*asked, "--dimension", "team", "--dimension", "organization", "--csv")
    assert outcome.code == 0, outcome.err
    rows = pl.read_csv(outcome.out.encode(), schema_overrides={"effective_cost": pl.Decimal(38, 18)})
    assert set(rows["window"]) == {"custom"}
    for dimension in ("team", "organization"):
        part = rows.filter(pl.col("dimension") == dimension)
        assert part["requests_count"].sum() == days["requests_count"].sum() > 0
        assert part["effective_cost"].sum() == days["effective_cost"].sum()
    whole = rows.filter(pl.col("dimension") == "organization").row(0, named=True)
    assert whole["active_users_count"] == days["user_id"].drop_nulls().n_unique()
    assert whole["latency_p50_ms"] <= whole["latency_p95_ms"]
    shown = usage_etl(*asked)
    assert "2026-11-18 to 2026-11-19 by team:" in shown.out
    assert usage_etl(*asked[:2], "2026-11-20", *asked[3:]).code == 2, "the last day is before the first"
    wrong = usage_etl(*asked, "--dimension", "shoe_size")
    assert wrong.code == 2
    assert "no dimension shoe_size" in wrong.err
