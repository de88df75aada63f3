"""``usage-etl doctor``: what is in order, what is not, and how to mend it. Nothing is changed but a probe object."""

from __future__ import annotations

import datetime as dt
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usage_etl.allocation import OwnerDirectories
from usage_etl.allocation.owners import OwnerTree
from usage_etl.allocation.rules import refuse_unknown_owners
from usage_etl.config import Settings, load_settings, require_secrets
from usage_etl.config.directory import read_directories, unknown_files
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.finance_files import FINANCE_FILES, read_finance_files, unknown_finance_files
from usage_etl.config.outcomes import OUTCOMES_FILE
from usage_etl.config.price_files import accepted_files, contract_of, surcharges_of
from usage_etl.delivery.channels.registry import opened_and_resolved
from usage_etl.delivery.outbox import Outbox
from usage_etl.errors import ConfigError, UsageEtlError
from usage_etl.keys import sha256_hex
from usage_etl.lake import open_state, open_store
from usage_etl.periods import Month
from usage_etl.pricing import ListPrices, parse_price_file, price_book, with_files
from usage_etl.schemas import DIM_ENTITLEMENT, DIM_OUTCOME, DIM_QUOTA
from usage_etl.sources.fetching.folder import matching_objects
from usage_etl.sources.registry import SOURCE_KINDS

PROBE_TIMEOUT_S = 60
_PROBE = """
from usage_etl.reports.pdf import render_pdf
pdf = render_pdf("<html lang='en'><head><title>probe</title></head><body><p>probe</p></body></html>")
assert pdf.startswith(b"%PDF"), pdf[:8]
"""


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is in order, what was seen, and how to mend it."""

    name: str
    passed: bool
    seen: str
    remedy: str = ""
    is_config: bool = False


def run_checks(config: Path) -> list[Check]:
    """Every check that the settings allow; a settings file that cannot be read ends them."""
    try:
        settings = load_settings(config, kinds=SOURCE_KINDS)
    except ConfigError as error:
        return [*render_checks(), Check("settings", False, str(error), "mend the keys named above", is_config=True)]
    checks = [Check("settings", True, f"{config}: {len(settings.sources)} source(s)")]
    checks += [_guarded(name, check, settings) for name, check in _SETTINGS_CHECKS.items()]
    checks += [_guarded(f"source {source.name}", _source_check(source.name), settings) for source in settings.sources]
    checks += [_guarded(f"channel {channel.name}", _channel_check(channel.name), settings) for channel in settings.channels]
    return [*checks, *render_checks()]


def render_checks() -> Iterator[Check]:
    """Renders a probe PDF in a child process, because a missing font ends the process, not the function."""
    try:
        child = subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        yield Check("PDF rendering", False, f"no answer in {PROBE_TIMEOUT_S} s", "look at the machine's load and memory")
        return
    yield explain_render(child.returncode, child.stderr)


def explain_render(code: int, stderr: str) -> Check:
    """What a probe child's exit means and how to mend it."""
    name = "PDF rendering"
    if code == 0:
        return Check(name, True, "a probe page was rendered")
    last = stderr.strip().splitlines()[-1] if stderr.strip() else f"exit code {code}"
    if code == -signal.SIGSEGV:
        return Check(
            name, False, "the renderer died by segmentation fault", "install one system font: apt-get install fonts-dejavu-core"
        )
    if "cannot load library" in stderr:
        remedy = "Debian/Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0; macOS: brew install pango"
        return Check(name, False, last, remedy)
    return Check(name, False, last, "run the probe by hand: python -c 'import weasyprint'")


def _guarded(name: str, check: Callable[[Settings], tuple[str, str]], settings: Settings) -> Check:
    try:
        seen, remedy = check(settings)
    except ConfigError as error:
        return Check(name, False, str(error), "mend what is named above", is_config=True)
    except UsageEtlError as error:
        return Check(name, False, str(error), "mend what is named above")
    except Exception as error:  # noqa: BLE001 - a check reports every fault instead of ending the others
        return Check(name, False, f"{type(error).__name__}: {error}", "see the message; nothing was changed")
    return Check(name, not remedy, seen, remedy)


def _check_secrets(settings: Settings) -> tuple[str, str]:
    require_secrets(settings)
    return "every secret that is referred to is set", ""


def _check_directories(settings: Settings) -> tuple[str, str]:
    folder = Path(settings.resolve(settings.directory))
    frames = read_directories(folder)
    rows = {name: frames[file.table.name].height for name, file in DIRECTORY_FILES.items()}
    rows[OUTCOMES_FILE] = frames[DIM_OUTCOME.name].height
    return _rows_seen(rows, unknown_files(folder))


def _check_rules(settings: Settings) -> tuple[str, str]:
    """Owners that allocation rules name, as the directories know them in the running month."""
    from assets.allocation import OWNER_TABLES  # imports Dagster

    frames = read_directories(Path(settings.resolve(settings.directory)))
    month = Month.of(settings.as_of_date or dt.datetime.now(dt.UTC).date())
    owners = OwnerDirectories(**{name: frames[table.name] for name, table in OWNER_TABLES.items()})
    refuse_unknown_owners(settings.allocation, OwnerTree(owners, month), month)
    in_force = sum(rule.is_in_force(month.first_day) for rule in settings.allocation.rules)
    return f"{in_force} rule(s) in force in {month}; every owner they name is known", ""


def _check_quotas(settings: Settings) -> tuple[str, str]:
    """Whether quotas and pools stand on scopes that a directory, or the usage that the lake holds, knows."""
    from assets.quota_scopes import refuse_unknown_scopes  # imports Dagster
    from assets.resources import Workspace

    frames = read_directories(Path(settings.resolve(settings.directory)))
    refuse_unknown_scopes(Workspace(settings), frames)
    return f"{frames[DIM_QUOTA.name].height} quotas and {frames[DIM_ENTITLEMENT.name].height} purchases stand on known scopes", ""


def _check_finance_files(settings: Settings) -> tuple[str, str]:
    folder = Path(settings.resolve(settings.finance))
    frames = read_finance_files(folder)
    return _rows_seen({kind.place: frames[kind.table.name].height for kind in FINANCE_FILES}, unknown_finance_files(folder))


def _rows_seen(rows: Mapping[str, int], unread: Sequence[str]) -> tuple[str, str]:
    seen = "rows in " + ", ".join(f"{name} {count}" for name, count in rows.items())
    return seen + (f"; not read: {', '.join(unread)}" if unread else ""), ""


def _check_prices(settings: Settings) -> tuple[str, str]:
    files = [parse_price_file(name, content) for name, content in accepted_files(settings).items()]
    prices = with_files(ListPrices.bundled(settings.prices.sources), files)
    book = price_book(prices, contract_of(settings), surcharges_of(settings))
    return f"{book.height} price rows from {prices.version}", ""


def _check_lake(settings: Settings) -> tuple[str, str]:
    """Writes a probe object twice on condition that it is absent; the second must lose to the first."""
    store = open_store(settings.resolve(settings.lake.location), endpoint_url=settings.s3.endpoint_url, region=settings.s3.region)
    key = f"_probe/{sha256_hex(b'doctor')[:12]}"
    store.write(key, b"first")
    is_conditional = not store.write(key, b"second", only_if_absent=True)
    read_back = store.read(key)
    store.delete(key)
    if not is_conditional or read_back != b"first":
        return (
            "conditional writes are ignored by this store",
            "use a store that honours If-None-Match, or run one writer at a time",
        )
    return f"{settings.resolve(settings.lake.location)}: written, read and deleted", ""


def _check_state(settings: Settings) -> tuple[str, str]:
    from assets.resources import state_url  # imports Dagster

    engine = open_state(state_url(settings))
    with engine.connect():
        return engine.url.render_as_string(hide_password=True), ""


def _check_mail(settings: Settings) -> tuple[str, str]:
    mail = settings.mail
    if mail.mode == "files":
        return f".eml files go to {settings.resolve(settings.reports.location)}", ""
    client = smtplib.SMTP_SSL if mail.security == "tls" else smtplib.SMTP
    with client(mail.host, mail.port, timeout=15) as connection:
        if mail.security == "starttls":
            connection.starttls()
        connection.noop()
    return f"{mail.host}:{mail.port} answers", ""


def _check_outbox(settings: Settings) -> tuple[str, str]:
    from assets.resources import state_url  # imports Dagster

    outbox = Outbox(open_state(state_url(settings)))
    counts, disabled = outbox.counts(), [item.channel for item in outbox.states.disabled()]
    seen = ", ".join(f"{counts.get(state, 0)} {state}" for state in ("pending", "ambiguous", "dead", "sent"))
    if disabled:
        return f"{seen}; switched off: {', '.join(disabled)}", "mend the address, then `usage-etl outbox enable CHANNEL`"
    return seen, "look at `usage-etl outbox list`; retry or drop each" if counts.get("dead") else ""


def _channel_check(name: str) -> Callable[[Settings], tuple[str, str]]:
    def check(settings: Settings) -> tuple[str, str]:
        channel = next(channel for channel in settings.channels if channel.name == name)
        return opened_and_resolved(channel)

    return check


def _check_recipients(settings: Settings) -> tuple[str, str]:
    reports = settings.reports
    missing = [
        name for name in ("executive_recipients", "chargeback_recipients", "failure_recipients") if not getattr(reports, name)
    ]
    return ("no " + ", ".join(missing) + ": nobody is mailed" if missing else "every report and failure has a recipient"), ""


def _check_alerts(settings: Settings) -> tuple[str, str]:
    """Rules themselves are checked when the settings are read."""
    rules = settings.alerts.all_rules()
    untold = [rule.name for rule in rules if not rule.channels]
    seen = f"{len(rules)} rule(s), {len(settings.alerts.silences)} silence(s) in the settings"
    return seen + (f"; no channel, so nobody is told: {', '.join(untold)}" if untold else ""), ""


def _source_check(name: str) -> Callable[[Settings], tuple[str, str]]:
    def check(settings: Settings) -> tuple[str, str]:
        source = next(source for source in settings.sources if source.name == name)
        if source.location is None:
            return f"asks {source.origin}", ""
        location = settings.resolve(source.location)
        store = open_store(location, endpoint_url=settings.s3.endpoint_url, region=settings.s3.region, must_exist=True)
        objects = sum(1 for _ in store.list(""))
        matching = sum(1 for _ in matching_objects(store, pattern=source.pattern))
        seen = f"{location}: {matching} of {objects} object(s) match {source.pattern}"
        if matching:
            return seen, ""
        return (
            seen,
            "change pattern, or the names" if objects else "no object yet: check the location, or wait for the first export",
        )

    return check


_SETTINGS_CHECKS: dict[str, Callable[[Settings], tuple[str, str]]] = {
    "secrets": _check_secrets,
    "directories": _check_directories,
    "quotas": _check_quotas,
    "allocation rules": _check_rules,
    "finance files": _check_finance_files,
    "prices": _check_prices,
    "lake": _check_lake,
    "state": _check_state,
    "mail": _check_mail,
    "outbox": _check_outbox,
    "recipients": _check_recipients,
    "alerts": _check_alerts,
}
