"""Papers that people get: the statement of every cost center, and the note on what changed in a closed month."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import polars as pl

from assets.monthly import through_date
from assets.paper_inputs import by_center, center_of, centers_of, disputes_of, is_known, lines_of, proof_of
from assets.publishing import CHARGEBACK, templates_of
from assets.resources import Workspace
from usage_etl.delivery.headers import Mailbox, parse_mailbox
from usage_etl.delivery.manifest import Document
from usage_etl.delivery.message import Attachment, Draft
from usage_etl.errors import ConservationError, DeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.periods import Month, day_start
from usage_etl.reports.change_note import build_change_note
from usage_etl.reports.change_note_model import ChangeNote, Versions
from usage_etl.reports.change_note_print import one_page_note, render_change_note_email
from usage_etl.reports.chargeback_files import FinanceFile
from usage_etl.reports.email import EmailContent
from usage_etl.reports.paper_names import statement_report
from usage_etl.reports.pdf import PdfDocument
from usage_etl.reports.statement import build_statement
from usage_etl.reports.statement_email import render_statement_email
from usage_etl.reports.statement_model import CostCenter, Statement
from usage_etl.reports.statement_print import fitted_statement, statement_csv
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.chargeback import least_settled
from usage_etl.schemas.periods import Closing

_log = logging.getLogger(__name__)
_MAIL_ROWS = 40
_PDF, _CSV = "application/pdf", "text/csv; charset=utf-8"


@dataclass(frozen=True)
class _Paper:
    """What builds the statement of a cost center for a number of rows, and the lines that it is made from."""

    build: Callable[[int], Statement]
    lines: pl.DataFrame
    center: CostCenter


def statement_files(
    workspace: Workspace, month: Month, lines: pl.DataFrame, *, status: str | None = None, version: str = ""
) -> tuple[Document | FinanceFile, ...]:
    """PDF and CSV of every cost center in ``lines``, the month of mart_chargeback_monthly, to publish beside chargeback.csv.

    ``status`` is the month's as a whole, that of its least settled line unless given. Raises ConservationError when the
    statements together are not the lines.
    """
    files: list[Document | FinanceFile] = []
    templates, page_size = templates_of(workspace.settings), workspace.settings.reports.page_size
    rows_count = 0
    for paper in _papers(workspace, month, lines, status=status, version=version):
        statement, pdf = fitted_statement(paper.build, page_size=page_size, templates=templates)
        name = statement_report(paper.center.cost_center_id)
        _warn_of(pdf, name)
        csv = statement_csv(statement, paper.lines)
        rows_count += csv.rows_count
        files += [Document(f"{name}.pdf", pdf.content, _PDF), csv]
    if rows_count != lines.height:
        raise ConservationError(f"lines of all statements of {month}", rows_count, lines.height)
    return tuple(files)


def statement_drafts(
    workspace: Workspace, month: Month, *, status: str | None = None, version: str = ""
) -> list[tuple[Draft, tuple[Mailbox, ...]]]:
    """One mail for each published statement, with whom it goes to; none where ``reports.statements`` says not yet.

    Statements without an owner's address, and those about money that nobody owns, go to ``chargeback_recipients``. The
    attached files are those published with the month's chargeback. Raises MissingObjectError where they are not.
    """
    lines = lines_of(workspace, month)
    whole = status or least_settled(lines["period_status"])
    allowed = {"closed": {"closed"}, "preliminary": {"closed", "preliminary"}, "never": set[str]()}
    if whole not in allowed[workspace.settings.reports.statements]:
        return []
    papers = _papers(workspace, month, lines, status=status, version=version)
    return [_statement_draft(workspace, month, paper) for paper in papers]


def change_note_file(
    workspace: Workspace, original_month: Month, booking_month: Month, *, versions: Versions | None = None
) -> Document:
    """The change note as a file of one page."""
    return _note(workspace, original_month, booking_month, versions)[1]


def change_note_draft(
    workspace: Workspace, original_month: Month, booking_month: Month, *, versions: Versions | None = None
) -> Draft:
    """Mail to those who got the closed version: what of ``original_month`` is corrected in ``booking_month``.

    ``versions`` names the closing that they got and the one that books the corrections; unless given, as the period book has it.
    """
    note, file = _note(workspace, original_month, booking_month, versions)
    content = render_change_note_email(
        note,
        attachments=(file.name,),
        why=f"You get this because you got the chargeback of {original_month}.",
        templates=templates_of(workspace.settings),
    )
    return _draft(
        workspace,
        report=f"change_note_{booking_month}",
        period=original_month,
        as_of=booking_month,
        identity=note.note_id,
        content=content,
        attachments=(Attachment(file.name, file.content, file.media_type),),
    )


def _note(
    workspace: Workspace, original_month: Month, booking_month: Month, versions: Versions | None
) -> tuple[ChangeNote, Document]:
    before = pl.concat([_booked_of(workspace, month, original_month) for month in _months(original_month, booking_month)])
    corrections = _booked_of(workspace, booking_month, original_month)
    status = least_settled(corrections["period_status"])
    settings = workspace.settings
    build = partial(
        build_change_note,
        before,
        corrections,
        original_month=original_month,
        booking_month=booking_month,
        organization_name=settings.organization.name,
        versions=versions or _versions(workspace, original_month, booking_month, status),
        as_of=through_date(workspace, booking_month),
        proof=proof_of(workspace, booking_month),
    )
    note, pdf = one_page_note(
        lambda room: build(rows_limit=room), page_size=settings.reports.page_size, templates=templates_of(settings)
    )
    name = f"change_note_{original_month}_in_{booking_month}"
    _warn_of(pdf, name)
    return note, Document(f"{name}.pdf", pdf.content, _PDF)


def _versions(workspace: Workspace, original_month: Month, booking_month: Month, booking_status: str) -> Versions:
    """The closing that the reader got, and the one that books the corrections once it has come about."""
    before, current = (_closing_of(workspace, month) for month in (original_month, booking_month))
    return Versions(
        before=str(before.number) if before else "1",
        before_date=before.closed_at.date() if before else None,
        current=str(current.number) if current else "",
        current_date=current.closed_at.date() if current else None,
        booking_status=booking_status,
    )


def _closing_of(workspace: Workspace, month: Month) -> Closing | None:
    """The newest closing in force of a month, of whichever provider."""
    found = [closing for closing in workspace.period_book.periods() if closing.month == month]
    return max(found, key=lambda closing: (closing.closed_at, closing.number), default=None)


def _booked_of(workspace: Workspace, month: Month, original_month: Month) -> pl.DataFrame:
    """Lines booked in ``month`` that are money of ``original_month``: its own ones, or corrections and disputes of it."""
    first_day = original_month.first_day
    is_own = pl.col("corrects_month").is_null() if month == original_month else pl.lit(value=False)
    return lines_of(workspace, month).filter(is_own | (pl.col("corrects_month") == first_day))


def _months(first: Month, end: Month) -> Iterator[Month]:
    while first < end:
        yield first
        first = first.next


def _papers(workspace: Workspace, month: Month, lines: pl.DataFrame, *, status: str | None, version: str) -> Iterator[_Paper]:
    settings = workspace.settings
    previous = by_center(lines_of(workspace, month.previous)) if is_known(workspace, month.previous) else None
    nothing = MART_CHARGEBACK_MONTHLY.empty()
    whole, proof = status or least_settled(lines["period_status"]), proof_of(workspace, month)
    disputes = disputes_of(workspace, month)
    centers = centers_of(workspace, month)
    for center_id, members in sorted(by_center(lines).items()):
        center = center_of(workspace, center_id, members, centers)
        name = statement_report(center_id).removeprefix("statement_")
        make = partial(
            build_statement,
            members,
            None if previous is None else previous.get(center_id, nothing),
            center,
            month=month,
            as_of=through_date(workspace, month),
            organization_name=settings.organization.name,
            status=whole,
            version=version,
            statement_number=f"{month}-{name}{f'-{version}' if version else ''}",
            disputes=disputes.get(center_id, ()),
            proof=proof,
        )
        yield _Paper(_by_room(make), members, center)


def _by_room(make: Callable[..., Statement]) -> Callable[[int], Statement]:
    return lambda room: make(rows_limit=room)


def _statement_draft(workspace: Workspace, month: Month, paper: _Paper) -> tuple[Draft, tuple[Mailbox, ...]]:
    report, statement = statement_report(paper.center.cost_center_id), paper.build(_MAIL_ROWS)
    names = ((f"{report}.pdf", _PDF), (f"{report}.csv", _CSV))
    owner = _owner(paper.center)
    recipients = (owner,) if owner else tuple(map(parse_mailbox, workspace.settings.reports.chargeback_recipients))
    content = render_statement_email(
        statement,
        attachments=tuple(name for name, _ in names),
        why=_why(statement, has_owner=owner is not None),
        templates=templates_of(workspace.settings),
    )
    attachments = tuple(
        Attachment(name, workspace.out.read(f"{CHARGEBACK}/{month}/{name}"), media_type) for name, media_type in names
    )
    draft = _draft(
        workspace,
        report=report,
        period=month,
        as_of=month,
        identity=sha256_hex(attachments[-1].content),  # other words in the PDF are no reason to write again, other lines are
        content=content,
        attachments=attachments,
    )
    return draft, recipients


def _why(statement: Statement, *, has_owner: bool) -> str:
    if has_owner:
        return f"You get this because the directory names you as the owner of cost center {statement.header.cost_center_id}."
    if statement.audience == "owner":
        return "You get this because the directory names no owner for this cost center: add owner_email to cost_centers.csv."
    return "You get this because your address is among those of the chargeback files."


def _owner(center: CostCenter) -> Mailbox | None:
    """Whom the directory names; nobody where the address cannot be used, which is logged and finance's to mend."""
    if center.audience != "owner" or not center.owner_email:
        return None
    try:
        return parse_mailbox(center.owner_email)
    except DeliveryError as error:
        _log.warning("cost_center=%s owner_email cannot be used: %s", center.cost_center_id, error)
        return None


def _draft(
    workspace: Workspace,
    *,
    report: str,
    period: Month,
    as_of: Month,
    identity: str,
    content: EmailContent,
    attachments: tuple[Attachment, ...],
) -> Draft:
    settings = workspace.settings
    return Draft(
        report=report,
        period=str(period),
        content_sha256=identity,
        as_of=day_start(through_date(workspace, as_of) + dt.timedelta(days=1)),
        sender=parse_mailbox(settings.mail.sender),
        subject=content.subject,
        text=content.text,
        html=content.html,
        attachments=attachments,
        attach_limit_bytes=settings.mail.attach_limit_mb * 1024 * 1024,
        link=settings.reports.dashboard_url or "",
    )


def _warn_of(pdf: PdfDocument, name: str) -> None:
    if pdf.missing_characters:
        _log.warning("report=%s no installed font shows: %s", name, "".join(pdf.missing_characters))
