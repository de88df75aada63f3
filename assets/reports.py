"""Reports of a month: rendered from marts, published with a manifest, mailed once to each recipient."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import dagster as dg

from assets.marts import through_date
from assets.partitions import monthly_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl import __version__
from usage_etl.config import Settings, read_secret
from usage_etl.delivery.deliver import deliver_once
from usage_etl.delivery.headers import parse_mailbox
from usage_etl.delivery.mail import FileMailer, Mailer, SmtpMailer
from usage_etl.delivery.manifest import Document, Edition, ReportFile
from usage_etl.delivery.message import Attachment, Draft
from usage_etl.delivery.publish import Publication, publish
from usage_etl.lake import WHOLE
from usage_etl.periods import Month, day_start
from usage_etl.reports.chargeback_email import render_chargeback_email
from usage_etl.reports.chargeback_files import chargeback_files, control_totals
from usage_etl.reports.email import render_email
from usage_etl.reports.executive import build_executive
from usage_etl.reports.html import render_executive_html, render_executive_print_html
from usage_etl.reports.inputs import ExecutiveInputs, ProofFacts
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.pdf import render_pdf
from usage_etl.reports.templates import Templates
from usage_etl.schemas import (
    DIM_PRICE,
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
)

EXECUTIVE, CHARGEBACK = "executive", "chargeback"
REPORT_MODEL = "report.json"
_EXECUTIVE_READS = (
    MART_SUMMARY,
    MART_SPEND_DAILY,
    MART_PROJECTION,
    MART_ANOMALIES,
    MART_RECONCILIATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
)


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of both reports and of the mails about them."""
    months = monthly_partitions(settings)

    def common(key: str, description: str, deps: Sequence[str], kinds: set[str]) -> dict[str, object]:
        return {
            "key": key,
            "description": description,
            "deps": list(deps),
            "group_name": "5_reports",
            "owners": ["team:finops"],
            "kinds": kinds,
            "partitions_def": months,
            "backfill_policy": dg.BackfillPolicy.single_run(),
        }

    def published(context: dg.AssetExecutionContext, publish_month: Callable[[Month], Publication]) -> dg.MaterializeResult:
        publications = {key: publish_month(Month.parse(key)) for key in context.partition_keys}
        for key, publication in publications.items():
            context.add_asset_metadata(
                {
                    "manifest_sha256": publication.manifest_sha256,
                    "version": publication.version_prefix,
                    "is_new": publication.is_new,
                },
                partition_key=key,
            )
        return dg.MaterializeResult(metadata={"new_editions": sum(publication.is_new for publication in publications.values())})

    def mailed(
        context: dg.AssetExecutionContext, workspace: Workspace, draft: Callable[[Workspace, Month], Draft], *, due: Month
    ) -> dg.MaterializeResult:
        """A run of one month mails it; a range run, which repeats old months, mails only the one that is due."""
        months = [Month.parse(key) for key in context.partition_keys]
        chosen = months if len(months) == 1 else [month for month in months if month == due]
        outcomes = {str(month): Counter(mail_report(workspace, draft(workspace, month)).values()) for month in chosen}
        left_out = [str(month) for month in months if month not in chosen]
        return dg.MaterializeResult(
            metadata={"outcomes": dg.MetadataValue.json(outcomes), "published_not_mailed": ", ".join(left_out)}
        )

    @dg.asset(
        **common(
            "report_executive",
            "Two-page PDF, HTML page and the report model they are rendered from, published with a manifest.",
            [table.name for table in _EXECUTIVE_READS],
            {"pdf", "html", "s3"},
        )
    )
    def report_executive(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        return published(context, lambda month: publish_executive(workspace.open(), month))

    @dg.asset(
        **common(
            "report_chargeback",
            "chargeback.csv for people, chargeback.parquet for machines, totals by cost center, and the manifest last.",
            [MART_CHARGEBACK_MONTHLY.name],
            {"csv", "parquet", "s3"},
        )
    )
    def report_chargeback(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        return published(context, lambda month: publish_chargeback(workspace.open(), month))

    @dg.asset(
        **common(
            "mail_executive", "The executive report by mail, once per content and recipient.", ["report_executive"], {"email"}
        )
    )
    def mail_executive(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        opened = workspace.open()
        return mailed(context, opened, executive_draft, due=Month.of(opened.as_of_date))

    @dg.asset(
        **common(
            "mail_chargeback", "The chargeback files by mail, once per content and recipient.", ["report_chargeback"], {"email"}
        )
    )
    def mail_chargeback(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:
        opened = workspace.open()
        return mailed(context, opened, chargeback_draft, due=Month.of(opened.as_of_date).previous)

    return [report_executive, report_chargeback, mail_executive, mail_chargeback]


def publish_executive(workspace: Workspace, month: Month) -> Publication:
    """Builds the month's report model and publishes it with its PDF and its page."""
    settings = workspace.settings
    templates = _templates(settings)
    key = month.first_day.isoformat()
    report = build_executive(
        _executive_inputs(workspace, month),
        organization_name=settings.organization.name,
        currency=settings.organization.currency,
        as_of=through_date(workspace, month),
    )
    print_html = render_executive_print_html(
        report, page_size=settings.reports.page_size, report_url=settings.reports.dashboard_url, templates=templates
    )
    page = render_executive_html(report, report_url=settings.reports.dashboard_url, templates=templates)
    files = [
        Document("report.pdf", render_pdf(print_html, templates=templates), "application/pdf"),
        Document("index.html", page.encode(), "text/html; charset=utf-8"),
        Document(REPORT_MODEL, report.model_dump_json(indent=1).encode(), "application/json"),
    ]
    reads = [f"{table.name}/{key}" for table in _EXECUTIVE_READS]
    return _publish(workspace, EXECUTIVE, month, files, reads=reads, totals={})


def publish_chargeback(workspace: Workspace, month: Month) -> Publication:
    """Publishes the month's finance files."""
    lines = workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [month.first_day.isoformat()]).collect()
    totals = control_totals(lines, columns=("allocated_cost",))
    reads = [f"{MART_CHARGEBACK_MONTHLY.name}/{month.first_day.isoformat()}"]
    return _publish(workspace, CHARGEBACK, month, chargeback_files(lines), reads=reads, totals=totals)


def executive_draft(workspace: Workspace, month: Month) -> Draft:
    """Mail about the published executive report, from the published model itself."""
    folder = f"{EXECUTIVE}/{month}"
    report = ExecutiveReport.model_validate_json(workspace.out.read(f"{folder}/{REPORT_MODEL}"))
    content = render_email(report, report_url=workspace.settings.reports.dashboard_url, templates=_templates(workspace.settings))
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


def mail_report(workspace: Workspace, draft: Draft) -> Mapping[str, str]:
    """Sends ``draft`` to the report's recipients who do not have it. Raises UndeliveredError when somebody has not."""
    settings = workspace.settings
    recipients = {EXECUTIVE: settings.reports.executive_recipients, CHARGEBACK: settings.reports.chargeback_recipients}
    mailboxes = [parse_mailbox(text) for text in recipients[draft.report]]
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


def published_files(workspace: Workspace, months: Sequence[str]) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """(place, bytes) of everything published for ``months`` and mailed, and the newest report's trust figures."""
    folders = [f"{report}/{Month.parse(key)}/" for key in months for report in (EXECUTIVE, CHARGEBACK)]
    stable = [info for folder in folders for info in workspace.out.list(folder) if "/v-" not in info.key]
    found = [(workspace.out.address(info.key), info.bytes_count) for info in [*stable, *workspace.out.list("mail/")]]
    newest = ExecutiveReport.model_validate_json(workspace.out.read(f"{EXECUTIVE}/{Month.parse(months[-1])}/{REPORT_MODEL}"))
    return found, [(fact.label, f"{fact.figure.text} {fact.note}") for fact in newest.trust.facts]


def _executive_inputs(workspace: Workspace, month: Month) -> ExecutiveInputs:
    lake, key = workspace.lake, month.first_day.isoformat()
    frames = {table: lake.scan(table, [key]).collect() for table in _EXECUTIVE_READS}
    heads = {f"{table.name}/{key}": lake.head(table, key) for table in _EXECUTIVE_READS}
    prices = lake.head(DIM_PRICE, WHOLE)
    proof = ProofFacts(
        manifests={name: head.sha256 for name, head in heads.items() if head},
        price_book_version=f"{prices.inputs['list_prices']}, {prices.sha256[:8]}" if prices else "absent",
        code_version=__version__,
    )
    return ExecutiveInputs(
        summary=frames[MART_SUMMARY],
        spend_daily=lake.scan(MART_SPEND_DAILY, [month.previous.first_day.isoformat(), key]).collect(),
        projection=frames[MART_PROJECTION],
        anomalies=frames[MART_ANOMALIES],
        reconciliation=frames[MART_RECONCILIATION_MONTHLY],
        chargeback=frames[MART_CHARGEBACK_MONTHLY],
        data_quality=frames[MART_DATA_QUALITY],
        proof=proof,
    )


def _publish(
    workspace: Workspace,
    report: str,
    month: Month,
    files: Sequence[ReportFile],
    *,
    reads: Sequence[str],
    totals: Mapping[str, Mapping[str, str]],
) -> Publication:
    through = through_date(workspace, month)
    tables = {table.name: table for table in _EXECUTIVE_READS}
    heads = {name: workspace.lake.head(tables[name.split("/")[0]], name.split("/")[1]) for name in reads}
    edition = Edition(
        report=report,
        period=str(month),
        period_status="preliminary" if through == month.last_day else "open",
        as_of=day_start(through + dt.timedelta(days=1)),
        control_totals=totals,
        inputs={name: head.sha256 for name, head in heads.items() if head},
        versions={"code": __version__},
    )
    with_lock = workspace.ledger.exclusive(f"{report}/{month}")
    return publish(workspace.out, edition, files, lock=with_lock)


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


def _templates(settings: Settings) -> Templates:
    folder = settings.reports.templates
    return Templates(Path(settings.resolve(folder)) if folder else None)
