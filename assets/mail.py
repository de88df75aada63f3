"""Mail about published editions: composed from what was published, sent once per content and recipient."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence

from assets.editions import REPORT_MODEL
from assets.finance_edition import corrected_months
from assets.monthly import through_date
from assets.papers import change_note_draft, statement_drafts
from assets.publishing import CHARGEBACK, EXECUTIVE, month_status, templates_of
from assets.resources import Workspace
from usage_etl.config import read_secret
from usage_etl.delivery.deliver import EMAIL, deliver_once, send_of
from usage_etl.delivery.headers import Mailbox, parse_mailbox
from usage_etl.delivery.mail import FileMailer, Mailer, SmtpMailer
from usage_etl.delivery.manifest import CLOSED
from usage_etl.delivery.message import Attachment, Draft
from usage_etl.errors import UndeliveredError
from usage_etl.periods import Month, day_start
from usage_etl.reports.chargeback_email import render_chargeback_email
from usage_etl.reports.email import render_email
from usage_etl.reports.model import ExecutiveReport
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY

Letters = Sequence[tuple[Draft, Sequence[Mailbox]]]
"""Mails of one month, each with whom it is for."""


def executive_letters(workspace: Workspace, month: Month) -> Letters:
    """The executive report to its recipients."""
    return [(executive_draft(workspace, month), _mailboxes(workspace.settings.reports.executive_recipients))]


def chargeback_letters(workspace: Workspace, month: Month) -> Letters:
    """The finance files to their recipients."""
    return [(chargeback_draft(workspace, month), _mailboxes(workspace.settings.reports.chargeback_recipients))]


def statement_letters(workspace: Workspace, month: Month) -> Letters:
    """The statement of each cost center to its owner, once ``reports.statements`` says so."""
    return statement_drafts(workspace, month, status=month_status(workspace, month))


def change_letters(workspace: Workspace, month: Month) -> Letters:
    """Once ``month`` is closed: for each month that it corrects, the note to whoever got that month's finance files."""
    if month_status(workspace, month) != CLOSED:
        return []
    return [
        (change_note_draft(workspace, original, month), _mailboxes(workspace.ledger.recipients(CHARGEBACK, str(original), EMAIL)))
        for original in corrected_months(workspace, month)
    ]


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


def send_letters(workspace: Workspace, letters: Letters, *, only_corrections: bool = False) -> Mapping[str, str]:
    """Sends each draft to those who do not have it: ``report recipient`` to what became of it.

    With ``only_corrections``, only to those who got the same report and period with other content before. Every letter is
    tried; raises UndeliveredError of the first that somebody has not got.
    """
    outcomes: dict[str, str] = {}
    failures: list[UndeliveredError] = []
    for draft, recipients in letters:
        chosen = [
            mailbox
            for mailbox in recipients
            if not only_corrections or workspace.ledger.has_other_content(send_of(draft, mailbox))
        ]
        delivered = deliver_once(workspace.ledger, mailer(workspace), draft, chosen)
        outcomes |= {f"{draft.report} {address}": outcome.status for address, outcome in delivered.outcomes.items()}
        try:
            delivered.raise_for_failures()
        except UndeliveredError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return outcomes


def _mailboxes(texts: Iterable[str]) -> list[Mailbox]:
    return [parse_mailbox(text) for text in texts]


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
