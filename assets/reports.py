"""Report assets: the editions of a month, and the mails about them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from assets.editions import EXECUTIVE_READS, publish_executive
from assets.finance_edition import CHARGEBACK_READS, publish_changes, publish_chargeback
from assets.mail import Letters, change_letters, chargeback_letters, executive_letters, send_letters, statement_letters
from assets.partitions import monthly_partitions
from assets.resources import Workspace, WorkspaceResource
from assets.retries import retried_if_it_helps
from usage_etl.config import Settings
from usage_etl.delivery.publish import Publication
from usage_etl.periods import Month
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY

Publications = Mapping[Month, Publication]
"""What was published, by the month that it is about."""

REPORT_EXECUTIVE, REPORT_CHARGEBACK, REPORT_CHANGES = "report_executive", "report_chargeback", "report_changes"
MAIL_EXECUTIVE, MAIL_CHARGEBACK, MAIL_STATEMENTS, MAIL_CHANGES = (
    "mail_executive",
    "mail_chargeback",
    "mail_statements",
    "mail_changes",
)
FINANCE_REPORTS = (REPORT_CHARGEBACK, REPORT_CHANGES, MAIL_CHARGEBACK, MAIL_STATEMENTS, MAIL_CHANGES)
"""The finance edition of a month and its mails. A closing makes it anew, and the executive report, which it mails to nobody."""


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the reports and of the mails about them."""
    months = monthly_partitions(settings)
    return [
        *(_edition(spec, months, publish_month) for spec, publish_month in _editions()),
        *(_mail(spec, months, write, is_due=is_due) for spec, write, is_due in _letters()),
    ]


def _editions() -> list[tuple[dg.AssetSpec, Callable[[Workspace, Month], Publications]]]:
    return [
        (
            _spec(
                REPORT_EXECUTIVE,
                "Two-page PDF, HTML page and the report model they are rendered from, published with a manifest.",
                deps=[table.name for table in EXECUTIVE_READS],
                kinds={"pdf", "html"},
            ),
            lambda workspace, month: {month: publish_executive(workspace, month)},
        ),
        (
            _spec(
                REPORT_CHARGEBACK,
                "Chargeback as CSV, Excel and Parquet, journal, FOCUS datasets, a statement per cost center; the manifest last.",
                deps=[table.name for table in CHARGEBACK_READS],
                kinds={"csv", "excel", "parquet", "pdf"},
            ),
            lambda workspace, month: {month: publish_chargeback(workspace, month)},
        ),
        (
            _spec(
                REPORT_CHANGES,
                "For each closed month that is corrected in this one: a page that says what changed since it was closed.",
                deps=[MART_CHARGEBACK_MONTHLY.name],
                kinds={"pdf"},
            ),
            publish_changes,
        ),
    ]


def _letters() -> list[tuple[dg.AssetSpec, Callable[[Workspace, Month], Letters], Callable[[Workspace, Month], bool]]]:
    return [
        (
            _spec(MAIL_EXECUTIVE, "The executive report by mail, once.", deps=[REPORT_EXECUTIVE], kinds={"email"}),
            executive_letters,
            lambda workspace, month: month == Month.of(workspace.as_of_date),
        ),
        (
            _spec(MAIL_CHARGEBACK, "The finance files by mail, once.", deps=[REPORT_CHARGEBACK], kinds={"email"}),
            chargeback_letters,
            _is_last_month,
        ),
        (
            _spec(MAIL_STATEMENTS, "Each cost center's statement to its owner, once.", deps=[REPORT_CHARGEBACK], kinds={"email"}),
            statement_letters,
            _is_last_month,
        ),
        (
            _spec(MAIL_CHANGES, "What changed in a closed month, to who got it, once.", deps=[REPORT_CHANGES], kinds={"email"}),
            change_letters,
            _is_last_month,
        ),
    ]


def _is_last_month(workspace: Workspace, month: Month) -> bool:
    return month == Month.of(workspace.as_of_date).previous


def _spec(key: str, description: str, *, deps: Sequence[str], kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key, deps=list(deps), description=description, group_name="5_reports", owners=["team:finops"], kinds=kinds
    )


def _edition(
    spec: dg.AssetSpec, months: dg.PartitionsDefinition[str], publish_month: Callable[[Workspace, Month], Publications]
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def edition(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[Any]:
        opened, new_count = workspace.open(), 0
        for key in context.partition_keys:
            with retried_if_it_helps(context):
                published = publish_month(opened, Month.parse(key))
            new_count += sum(publication.is_new for publication in published.values())
            found = {
                name if str(month) == key[:7] else f"{name}_{month}": value
                for month, publication in published.items()
                for name, value in _figures(publication).items()
            }
            context.add_asset_metadata(found, asset_key=spec.key, partition_key=key)
        return dg.MaterializeResult(metadata={"new_editions": new_count})

    return edition


def _figures(publication: Publication) -> dict[str, Any]:
    return {
        "manifest_sha256": publication.manifest_sha256,
        "version": publication.version_prefix,
        "is_new": publication.is_new,
    }


def _mail(
    spec: dg.AssetSpec,
    months: dg.PartitionsDefinition[str],
    write: Callable[[Workspace, Month], Letters],
    *,
    is_due: Callable[[Workspace, Month], bool],
) -> dg.AssetsDefinition:
    """A run of one named month mails it. A range run mails months that are due, and others only as corrections.

    Range runs repeat old months and open ones: there, only who was mailed an earlier edition is told of a new one.
    """

    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def mail(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[Any]:
        opened = workspace.open()
        covered = [Month.parse(key) for key in context.partition_keys]
        with retried_if_it_helps(context):
            sent = {
                str(month): Counter(
                    send_letters(
                        opened,
                        write(opened, month),
                        only_corrections=not (context.has_partition_key or is_due(opened, month)),
                    ).values()
                )
                for month in covered
            }
        left_out = [month for month, outcomes in sent.items() if not outcomes]
        return dg.MaterializeResult(
            metadata={"outcomes": dg.MetadataValue.json(sent), "published_not_mailed": ", ".join(left_out)}
        )

    return mail
