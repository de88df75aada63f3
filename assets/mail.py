"""Mail about published editions: composed from what was published, sent once per content and recipient."""

import datetime as dt
import json
from collections.abc import Mapping

from assets.editions import CHARGEBACK, EXECUTIVE, REPORT_MODEL, templates_of
from assets.marts import through_date
from assets.resources import Workspace
from usage_etl.config import read_secret
from usage_etl.delivery.deliver import deliver_once, send_of
from usage_etl.delivery.headers import parse_mailbox
from usage_etl.delivery.mail import FileMailer, Mailer, SmtpMailer
from usage_etl.delivery.message import Attachment, Draft
from usage_etl.periods import Month, day_start
from usage_etl.reports.chargeback_email import render_chargeback_email
from usage_etl.reports.email import render_email
from usage_etl.reports.model import ExecutiveReport
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY


def executive_draft(workspace: Workspace, month: Month) -> Draft:
    """Mail about the published executive report, from the published model itself."""
    folder = f"{EXECUTIVE}/{month}"
    report = ExecutiveReport.model_validate_json(workspace.out.read(f"{folder}/{REPORT_MODEL}"))
    content = render_email(
        report, report_url=workspace.settings.reports.dashboard_url, templates=templates_of(workspace.settings)
    )
    pdf = Attachment(f"ai-usage-{month}.pdf", workspace.out.read(f"{folder}/report.pdf"), "application/pdf")
    return _draft(workspace, EXECUTIVE, month, subject=content.subject, text=content.text, html=content.html, attachments=(pdf,))


def chargeback_draft(workspace: Workspace, month: Month) -> Draft:
    """Mail about the published finance files, with the files attached."""
    folder = f"{CHARGEBACK}/{month}"
    lines = workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [month.first_day.isoformat()]).collect()
    content = render_chargeback_email(lines, month=month, organization_name=workspace.settings.organization.name)
    attachments = tuple(
        Attachment(name, workspace.out.read(f"{folder}/{name}"), media_type)
        for name, media_type in (
            ("chargeback.csv", "text/csv; charset=utf-8"),
            ("chargeback_by_cost_center.csv", "text/csv; charset=utf-8"),
            ("manifest.json", "application/json"),
        )
    )
    return _draft(
        workspace, CHARGEBACK, month, subject=content.subject, text=content.text, html=content.html, attachments=attachments
    )


def mail_report(workspace: Workspace, draft: Draft, *, only_corrections: bool = False) -> Mapping[str, str]:
    """Sends ``draft`` to the report's recipients who do not have it. Raises UndeliveredError when somebody has not.

    With ``only_corrections``, only to those who got this report and period with other content before.
    """
    settings = workspace.settings
    recipients = {EXECUTIVE: settings.reports.executive_recipients, CHARGEBACK: settings.reports.chargeback_recipients}
    mailboxes = [parse_mailbox(text) for text in recipients[draft.report]]
    if only_corrections:
        mailboxes = [mailbox for mailbox in mailboxes if workspace.ledger.has_other_content(send_of(draft, mailbox))]
    delivered = deliver_once(workspace.ledger, mailer(workspace), draft, mailboxes)
    delivered.raise_for_failures()
    return {address: outcome.status for address, outcome in delivered.outcomes.items()}


def mailer(workspace: Workspace) -> Mailer:
    """The configured way out for mail."""
    mail = workspace.settings.mail
    if mail.mode == "files":
        return FileMailer(workspace.out)
    password = read_secret(mail.password) if mail.password else None
    return SmtpMailer(host=mail.host, port=mail.port, security=mail.security, username=mail.username, password=password)


def _draft(
    workspace: Workspace, report: str, month: Month, *, subject: str, text: str, html: str, attachments: tuple[Attachment, ...]
) -> Draft:
    settings = workspace.settings
    through = through_date(workspace, month)
    pointer = json.loads(workspace.out.read(f"{report}/{month}/latest.json"))
    return Draft(
        report=report,
        period=through.isoformat() if report == EXECUTIVE else str(month),
        content_sha256=pointer["manifest_sha256"],
        as_of=day_start(through + dt.timedelta(days=1)),
        sender=parse_mailbox(settings.mail.sender),
        subject=subject,
        text=text,
        html=html,
        attachments=attachments,
        attach_limit_bytes=settings.mail.attach_limit_mb * 1024 * 1024,
        link=settings.reports.dashboard_url or workspace.out.address(f"{report}/{month}"),
    )
