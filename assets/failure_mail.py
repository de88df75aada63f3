"""The mail about a failed run. One failed run is mailed once, however often the sensor sees it."""

import html

import dagster as dg

from assets.mail import mailer
from assets.partitions import covered_partitions
from assets.resources import Workspace, now
from usage_etl.delivery.deliver import DeliveryReport, deliver_once
from usage_etl.delivery.headers import parse_mailbox
from usage_etl.delivery.message import Draft
from usage_etl.keys import sha256_hex

FAILURE = "failure"
_MESSAGE_LIMIT = 4000


def first_cause(event: dg.DagsterEvent) -> str:
    """What made a step fail, in the words of the error that started it."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "no message"


def mail_failure(workspace: Workspace, run: dg.DagsterRun, message: str) -> DeliveryReport:
    """Mails ``message`` about ``run`` to the failure recipients who were not told yet."""
    settings, covered = workspace.settings, covered_partitions(run.tags)
    subject = f"usage_etl: job {run.job_name} failed" + (f" for {' to '.join(dict.fromkeys(covered))}" if covered else "")
    text = (
        f"{subject}\n\n{message[:_MESSAGE_LIMIT]}\n\nRun {run.run_id}. Partitions that had finished stay committed; "
        "mend the cause and run the failed ones again: nothing is counted twice.\n"
    )
    draft = Draft(
        report=FAILURE,
        period=run.run_id[:8],  # of the run alone: no clock, and a second failure is no update of the first
        content_sha256=sha256_hex(run.run_id.encode()),
        as_of=now(),
        sender=parse_mailbox(settings.mail.sender),
        subject=subject,
        text=text,
        html=f"<!doctype html><html lang='en'><body><pre style='white-space:pre-wrap'>{html.escape(text)}</pre></body></html>",
    )
    recipients = [parse_mailbox(address) for address in settings.reports.failure_recipients]
    return deliver_once(workspace.ledger, mailer(workspace), draft, recipients)
