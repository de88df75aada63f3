"""The executive edition of a month, rendered from marts; and what is published of a month in all."""

import logging
from collections.abc import Sequence

from assets.monthly import through_date
from assets.publishing import (
    CHANGES,
    CHARGEBACK,
    EXECUTIVE,
    closed_edition,
    price_book_version,
    publish_edition,
    templates_of,
)
from assets.resources import Workspace
from usage_etl import __version__
from usage_etl.delivery.manifest import Document
from usage_etl.delivery.publish import Publication
from usage_etl.periods import Month
from usage_etl.reports.executive import build_executive
from usage_etl.reports.html import render_executive_html, render_executive_print_html
from usage_etl.reports.inputs import ExecutiveInputs, ProofFacts
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.pdf import render_pdf_document
from usage_etl.schemas import (
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_PROJECTION,
    MART_PROJECTION_ACCURACY,
    MART_RECOMMENDATION_VERDICTS,
    MART_RECOMMENDATIONS,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
)

_log = logging.getLogger(__name__)

REPORT_MODEL = "report.json"
EXECUTIVE_READS = (
    MART_SUMMARY,
    MART_SPEND_DAILY,
    MART_PROJECTION,
    MART_PROJECTION_ACCURACY,
    MART_ANOMALIES,
    MART_RECONCILIATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_RECOMMENDATIONS,
    MART_RECOMMENDATION_VERDICTS,
)
"""Tables that the executive report is made from."""


def publish_executive(workspace: Workspace, month: Month) -> Publication:
    """Builds the month's report model and publishes it with its PDF and its page; that of a closed month stands."""
    standing, settings = closed_edition(workspace, EXECUTIVE, month), workspace.settings
    if standing is not None:
        return standing
    templates = templates_of(settings)
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
    pdf = render_pdf_document(print_html, templates=templates)
    if pdf.missing_characters:
        _log.warning("report=%s month=%s no installed font shows: %s", EXECUTIVE, month, "".join(pdf.missing_characters))
    files = [
        Document("report.pdf", pdf.content, "application/pdf"),
        Document("index.html", page.encode(), "text/html; charset=utf-8"),
        Document(REPORT_MODEL, report.model_dump_json(indent=1).encode(), "application/json"),
    ]
    return publish_edition(workspace, EXECUTIVE, month, files, reads=EXECUTIVE_READS, totals={})


def published_files(workspace: Workspace, months: Sequence[str]) -> tuple[list[tuple[str, int]], list[tuple[str, str, str]]]:
    """(place, bytes) of everything published for ``months`` and mailed, and the newest report's trust figures."""
    folders = [f"{report}/{Month.parse(key)}/" for key in months for report in (EXECUTIVE, CHARGEBACK, CHANGES)]
    stable = [info for folder in folders for info in workspace.out.list(folder) if "/v-" not in info.key]
    found = [(workspace.out.address(info.key), info.bytes_count) for info in [*stable, *workspace.out.list("mail/")]]
    newest = ExecutiveReport.model_validate_json(workspace.out.read(f"{EXECUTIVE}/{Month.parse(months[-1])}/{REPORT_MODEL}"))
    return found, [(fact.label, fact.figure.text, fact.note) for fact in newest.trust.facts]


def _executive_inputs(workspace: Workspace, month: Month) -> ExecutiveInputs:
    lake, key = workspace.lake, month.first_day.isoformat()
    frames = {table: lake.scan(table, [key]).collect() for table in EXECUTIVE_READS}
    heads = {f"{table.name}/{key}": lake.head(table, key) for table in EXECUTIVE_READS}
    proof = ProofFacts(
        manifests={name: head.sha256 for name, head in heads.items() if head},
        price_book_version=price_book_version(workspace),
        code_version=__version__,
    )
    return ExecutiveInputs(
        summary=frames[MART_SUMMARY],
        spend_daily=lake.scan(MART_SPEND_DAILY, [part.first_day.isoformat() for part in _chart_months(month)]).collect(),
        projection=frames[MART_PROJECTION],
        accuracy=lake.scan(MART_PROJECTION_ACCURACY, [part.first_day.isoformat() for part in _measured_months(month)]).collect(),
        anomalies=frames[MART_ANOMALIES],
        reconciliation=frames[MART_RECONCILIATION_MONTHLY],
        chargeback=frames[MART_CHARGEBACK_MONTHLY],
        data_quality=frames[MART_DATA_QUALITY],
        recommendations=frames[MART_RECOMMENDATIONS],
        verdicts=frames[MART_RECOMMENDATION_VERDICTS],
        proof=proof,
    )


def _chart_months(month: Month) -> tuple[Month, ...]:
    """Months that thirty days of bars can reach into; on 1 March they begin in January."""
    return month.previous.previous, month.previous, month


def _measured_months(month: Month) -> tuple[Month, ...]:
    """Months whose projections the report judges: the last three that are over."""
    return month.previous.previous.previous, *_chart_months(month)
