"""Report assets: two editions a month, and the mail about each."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from assets.editions import EXECUTIVE_READS, publish_chargeback, publish_executive
from assets.mail import chargeback_draft, executive_draft, mail_report
from assets.partitions import monthly_partitions
from assets.resources import Workspace, WorkspaceResource
from assets.retries import retried_if_it_helps
from usage_etl.config import Settings
from usage_etl.delivery.message import Draft
from usage_etl.delivery.publish import Publication
from usage_etl.periods import Month
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY

REPORT_EXECUTIVE, REPORT_CHARGEBACK = "report_executive", "report_chargeback"
MAIL_EXECUTIVE, MAIL_CHARGEBACK = "mail_executive", "mail_chargeback"


def report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of both reports and of the mails about them."""
    months = monthly_partitions(settings)
    marts = [table.name for table in EXECUTIVE_READS]
    return [
        _edition(
            _spec(
                REPORT_EXECUTIVE,
                "Two-page PDF, HTML page and the report model they are rendered from, published with a manifest.",
                deps=marts,
                kinds={"pdf", "html"},
            ),
            months,
            publish_executive,
        ),
        _edition(
            _spec(
                REPORT_CHARGEBACK,
                "chargeback.csv for people, chargeback.parquet for machines, totals by cost center, and the manifest last.",
                deps=[MART_CHARGEBACK_MONTHLY.name],
                kinds={"csv", "parquet"},
            ),
            months,
            publish_chargeback,
        ),
        _mail(
            _spec(MAIL_EXECUTIVE, "The executive report by mail, once.", deps=[REPORT_EXECUTIVE], kinds={"email"}),
            months,
            executive_draft,
            due=lambda workspace: Month.of(workspace.as_of_date),
        ),
        _mail(
            _spec(MAIL_CHARGEBACK, "The chargeback files by mail, once.", deps=[REPORT_CHARGEBACK], kinds={"email"}),
            months,
            chargeback_draft,
            due=lambda workspace: Month.of(workspace.as_of_date).previous,
        ),
    ]


def _spec(key: str, description: str, *, deps: Sequence[str], kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        key, deps=list(deps), description=description, group_name="5_reports", owners=["team:finops"], kinds=kinds
    )


def _edition(
    spec: dg.AssetSpec, months: dg.PartitionsDefinition[str], publish_month: Callable[[Workspace, Month], Publication]
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=spec.key.to_python_identifier(),
        specs=[spec],
        partitions_def=months,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def edition(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[Any]:
        with retried_if_it_helps(context):
            publications = {key: publish_month(workspace.open(), Month.parse(key)) for key in context.partition_keys}
        for key, publication in publications.items():
            context.add_asset_metadata(
                {
                    "manifest_sha256": publication.manifest_sha256,
                    "version": publication.version_prefix,
                    "is_new": publication.is_new,
                },
                asset_key=spec.key,
                partition_key=key,
            )
        return dg.MaterializeResult(metadata={"new_editions": sum(publication.is_new for publication in publications.values())})

    return edition


def _mail(
    spec: dg.AssetSpec,
    months: dg.PartitionsDefinition[str],
    draft: Callable[[Workspace, Month], Draft],
    *,
    due: Callable[[Workspace], Month],
) -> dg.AssetsDefinition:
    """A run of one named month mails it. A range run mails the month that is ``due``, and others only as corrections.

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
        chosen = covered if context.has_partition_key else [due(opened)]
        with retried_if_it_helps(context):
            sent = {
                str(month): Counter(mail_report(opened, draft(opened, month), only_corrections=month not in chosen).values())
                for month in covered
            }
        left_out = [month for month, outcomes in sent.items() if not outcomes]
        return dg.MaterializeResult(
            metadata={"outcomes": dg.MetadataValue.json(sent), "published_not_mailed": ", ".join(left_out)}
        )

    return mail
