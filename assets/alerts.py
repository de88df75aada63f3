"""Alerts: marts and rules are compared, what is decided is stored with the outbox, what is due is sent."""

import datetime as dt
from collections.abc import Iterable, Sequence

import dagster as dg
import polars as pl

from assets.channels import send_alerts
from assets.jobs import QUARTER_HOUR
from assets.resources import Workspace, WorkspaceResource, now
from usage_etl.alerts import Handling, Marts, Observations, Policy, Watch, observe, step
from usage_etl.config.alerts import AlertRule
from usage_etl.delivery.alert_book import AlertBook
from usage_etl.errors import UndeliveredAlertsError
from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.schemas import MART_PROJECTION, MART_SUMMARY, TABLES_BY_NAME
from usage_etl.schemas.alert_measures import ALERT_MEASURES
from usage_etl.schemas.alert_state import ActiveSilence, AlertMemory, Decision

_COUNTED = ("landed", "staged", "duplicate", "superseded")
"""Deliveries that show that a feed is alive."""


def book_of(workspace: Workspace) -> AlertBook:
    """What was decided before, in the state database."""
    return AlertBook(workspace.engine, workspace.settings.organization.id)


def evaluation_time(workspace: Workspace) -> dt.datetime:
    """Now; where the settings pretend that data ends on a day, this time on the day after."""
    day = workspace.settings.as_of_date
    return now() if day is None else dt.datetime.combine(day + dt.timedelta(days=1), now().timetz())


def evaluate_alerts(workspace: Workspace, *, inputs: str = "") -> Decision:
    """One evaluation, stored with the outbox or not at all. Raises AlertsBusyError when others were faster each time."""
    instant = evaluation_time(workspace)
    book = book_of(workspace)
    return book.decide(
        lambda: observations_of(workspace, instant),
        lambda memory, seen: _decided(workspace, memory, seen, instant),
        workspace.outbox,
        now=instant,
        inputs=inputs or alert_inputs(workspace),
    )


def preview_alerts(workspace: Workspace) -> Decision:
    """What an evaluation would decide now; nothing is stored."""
    instant = evaluation_time(workspace)
    seen = observations_of(workspace, instant)
    return book_of(workspace).preview(lambda memory: _decided(workspace, memory, seen, instant), now=instant)


def alert_inputs(workspace: Workspace) -> str:
    """Fingerprint of all that an evaluation looks at: marts, rules, silences, late feeds, and the day.

    The hour is part of it only while something waits for it: a silence to end, room under the cap, or lateness to grow.
    """
    instant = evaluation_time(workspace)
    rules = workspace.settings.alerts.all_rules()
    heads = {
        f"{name}/{key}": head.sha256
        for name, keys in _partitions(workspace, rules, instant).items()
        for key in keys
        if (head := workspace.lake.head(TABLES_BY_NAME[name], key))
    }
    book = book_of(workspace)
    waits = book.is_waiting() or any(rule.measure == "data_late_hours" for rule in rules)
    return fingerprint(
        {
            "marts": heads,
            "settings": workspace.settings.alerts.model_dump(mode="json"),
            "silences": [(silence.silence_id, silence.ends_at.isoformat()) for silence in book.silences()],
            "late": sorted(late_sources(workspace)),
            "anomalies": {key: handling.status for key, handling in anomaly_handling(workspace).items()},
            "at": instant.strftime("%Y-%m-%dT%H" if waits else "%Y-%m-%d"),
        }
    )


def late_sources(workspace: Workspace) -> frozenset[str]:
    """Sources of usage that delivered nothing for longer than they may. One that never delivered is not late, but absent."""
    newest = workspace.index.newest_arrivals(_COUNTED)
    return frozenset(
        source.name
        for source in workspace.settings.sources
        if source.role == "usage"
        and source.name in newest
        and now() - newest[source.name] > dt.timedelta(hours=source.expected_hours)
    )


def observations_of(workspace: Workspace, instant: dt.datetime) -> Observations:
    """What the stored marts say, as far as a rule looks at it."""
    settings = workspace.settings
    rules = [rule for rule in settings.alerts.all_rules() if rule.is_in_force(instant.date(), settings.organization.id)]
    partitions = _partitions(workspace, rules, instant)
    frames = {name: workspace.lake.scan(TABLES_BY_NAME[name], keys).collect() for name, keys in partitions.items() if keys}
    months = {name: [dt.date.fromisoformat(key) for key in partitions[name]] for name in frames}
    watch = Watch(
        instant=instant,
        organization_id=settings.organization.id,
        currency=settings.organization.currency,
        late_sources=late_sources(workspace),
        settle_days=settings.alerts.settle_days,
        anomaly_days=settings.alerts.anomaly_days,
        names=_names(workspace) if MART_PROJECTION.name in frames else {},
    )
    return observe(Marts(frames, months, anomaly_handling(workspace)), rules, watch)


def anomaly_handling(workspace: Workspace) -> dict[str, Handling]:
    """What became of anomalies, by episode: open, acknowledged or resolved, and by whom and why."""
    found: dict[str, Handling] = {}
    for episode in workspace.anomaly_book.episodes(with_resolved=True):
        newest = episode.events[-1]
        words = f"{newest.status.capitalize()} by {newest.done_by}: {newest.reason}." if newest.reason else ""
        found[episode.episode_id] = Handling(newest.status, words)
    return found


def active_silences(workspace: Workspace) -> list[ActiveSilence]:
    """Silences of the settings and of the command line, ended ones included: their summaries name them."""
    declared = [
        ActiveSilence(
            silence_id=fingerprint(silence.model_dump(mode="json")),
            rule=silence.rule,
            scope_kind=silence.scope_kind,
            scope_ids=silence.scope_ids,
            owner=silence.owner,
            reason=silence.reason,
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
        )
        for silence in workspace.settings.alerts.silences
    ]
    return [*declared, *book_of(workspace).silences()]


def alert_jobs() -> tuple[dg.JobDefinition, dg.JobDefinition]:
    """``alerts`` evaluates and sends; ``alerts_delivery`` sends what had to wait."""

    @dg.op(name="evaluate_alerts", out=dg.Out(dg.Nothing), description="Compare rules with the marts and store what is told.")
    def evaluate(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> None:
        decision = evaluate_alerts(workspace.open(), inputs=context.run_tags.get(INPUTS_TAG, ""))
        context.add_output_metadata(
            {
                "crossings": len(decision.crossings),
                "notices": len(decision.notices),
                "kept_notices": len(decision.kept),
                "titles": dg.MetadataValue.md("\n".join(f"- {notice.title}" for notice in decision.notices[:50]) or "none"),
            }
        )

    @dg.op(name="deliver_alerts", ins={"decided": dg.In(dg.Nothing)}, description="Send what is due through its channels.")
    def deliver(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> None:
        _send(context, workspace.open())

    @dg.op(name="deliver_waiting_alerts", description="Send what had to wait and is due now.")
    def deliver_waiting(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> None:
        _send(context, workspace.open())

    @dg.job(name="alerts", tags=QUARTER_HOUR, description="Evaluate the rules of alerts, and send what they tell.")
    def alerts() -> None:
        deliver(evaluate())

    @dg.job(name="alerts_delivery", tags=QUARTER_HOUR, description="Send alerts that had to wait for their channel.")
    def alerts_delivery() -> None:
        deliver_waiting()

    return alerts, alerts_delivery


INPUTS_TAG = "usage_etl/alert_inputs"
"""Run tag with the fingerprint of what the evaluation was requested for."""


def _send(context: dg.OpExecutionContext, workspace: Workspace) -> None:
    report = send_alerts(workspace)
    context.add_output_metadata(dict(sorted(report.counts.items())))
    if problems := report.problems():
        raise UndeliveredAlertsError(problems)


def _decided(workspace: Workspace, memory: AlertMemory, seen: Observations, instant: dt.datetime) -> Decision:
    settings = workspace.settings.alerts
    return step(
        memory,
        seen,
        settings.all_rules(),
        active_silences(workspace),
        instant,
        organization_id=workspace.settings.organization.id,
        policy=Policy(settings.messages_per_hour, settings.digest),
    )


def _names(workspace: Workspace) -> dict[tuple[str, str], str]:
    """Kind and id of each member of the newest summary, with its name."""
    stored = workspace.lake.partitions(MART_SUMMARY)
    if not stored:
        return {}
    members = workspace.lake.scan(MART_SUMMARY, [max(stored)]).select(
        pl.col("dimension", "member_id", "member_name").cast(pl.String)
    )
    return {(kind, member): name for kind, member, name in members.unique().collect().iter_rows()}


def _partitions(workspace: Workspace, rules: Iterable[AlertRule], instant: dt.datetime) -> dict[str, Sequence[str]]:
    """Months of each mart that rules look at: as far back as a period may still be settling."""
    settings, found = workspace.settings.alerts, dict[str, Sequence[str]]()
    for name in sorted({ALERT_MEASURES[rule.measure].table for rule in rules} & TABLES_BY_NAME.keys()):
        days = settings.anomaly_days if name == "mart_anomalies" else settings.settle_days + 1
        first = Month.of(instant.date() - dt.timedelta(days=days)).first_day.isoformat()
        stored = workspace.lake.partitions(TABLES_BY_NAME[name])
        found[name] = [key for key in stored if first <= key <= instant.date().isoformat()]
    return found
