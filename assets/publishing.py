"""Publishing an edition: what every report says of itself, whatever is in it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

from assets.monthly import through_date
from assets.periods import edition_periods
from assets.resources import Workspace
from usage_etl import __version__
from usage_etl.config import Settings
from usage_etl.delivery.manifest import CLOSED, Document, Edition, ReportFile
from usage_etl.delivery.publish import Publication, publish, publish_again, published_files_of, published_manifest
from usage_etl.keys import fingerprint
from usage_etl.lake import WHOLE
from usage_etl.periods import Month, day_start
from usage_etl.reports.templates import Templates
from usage_etl.schemas import DIM_PRICE, Table

EXECUTIVE, CHARGEBACK, CHANGES = "executive", "chargeback", "changes"
"""Reports, as they stand in keys of the out location."""


def closed_edition(workspace: Workspace, report: str, month: Month) -> Publication | None:
    """The published edition of a month that is closed and was not reopened since, as it stands; None where there is none.

    It is not made anew: a later version of the program, of a library or of a template changes nothing of it.
    """
    prefix = f"{report}/{month}"
    found = published_manifest(workspace.out, prefix)
    periods = workspace.period_book.periods()
    is_standing = found is not None and found[1]["period_status"] == CLOSED and found[1].get("periods") == periods.of_month(month)
    if not is_standing:
        return None
    return publish_again(workspace.out, prefix, lock=workspace.ledger.exclusive(prefix))


def publish_edition(
    workspace: Workspace,
    report: str,
    month: Month,
    files: Sequence[ReportFile],
    *,
    reads: Sequence[Table],
    totals: Mapping[str, Mapping[str, str]],
    status: str | None = None,
) -> Publication:
    """Publishes ``files`` as the report of ``month``, made from the month's partitions of ``reads``.

    ``status`` is the month's own unless given. A closed edition is replaced only where the month was reopened since.
    """
    names = [(table, WHOLE if table.partition is None else month.first_day.isoformat()) for table in reads]
    heads = {f"{table.name}/{partition}": workspace.lake.head(table, partition) for table, partition in names}
    own_status, periods, reopened_from = edition_periods(workspace, report, month)
    edition = Edition(
        report=report,
        period=str(month),
        period_status=status or own_status,
        as_of=as_of_instant(workspace, month),
        control_totals=totals,
        inputs={name: head.sha256 for name, head in heads.items() if head},
        versions=versions(workspace),
        periods=periods,
        reopened_from=reopened_from,
    )
    return publish(workspace.out, edition, files, lock=workspace.ledger.exclusive(f"{report}/{month}"))


def standing_files(workspace: Workspace, report: str, month: Month) -> list[Document]:
    """The files of the edition in force; none before the first. Raises IntegrityError when others have changed one."""
    return published_files_of(workspace.out, f"{report}/{month}")


def month_status(workspace: Workspace, month: Month) -> str:
    """Whether the month is open, preliminary or closed as a whole."""
    return workspace.period_book.periods().month_status(month, as_of=workspace.as_of_date)


def as_of_instant(workspace: Workspace, month: Month) -> dt.datetime:
    """Instant up to which the month's data reaches."""
    return day_start(through_date(workspace, month) + dt.timedelta(days=1))


def versions(workspace: Workspace) -> dict[str, str]:
    """What decides the figures besides the tables: code, price book and rules."""
    rules = workspace.settings.allocation.model_dump(mode="json")
    return {"code": __version__, "price_book": price_book_version(workspace), "allocation_rules": fingerprint(rules)[:12]}


def price_book_version(workspace: Workspace) -> str:
    """Versions of the price lists and of the book made from them."""
    prices = workspace.lake.head(DIM_PRICE, WHOLE)
    return f"{prices.inputs['list_prices']}, {prices.sha256[:8]}" if prices else "absent"


def templates_of(settings: Settings) -> Templates:
    """The shipped templates, with the configured folder over them."""
    folder = settings.reports.templates
    return Templates(Path(settings.resolve(folder)) if folder else None)
