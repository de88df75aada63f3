"""Limits proposed from what the lake holds."""

from collections.abc import Sequence

from assets.marts import history_keys
from assets.quotas import history_floor
from assets.resources import Workspace
from usage_etl.periods import Month
from usage_etl.quotas.suggest import Suggestion, suggest_quotas
from usage_etl.schemas import DIM_QUOTA, FACT_USAGE_DAILY


def propose_quotas(workspace: Workspace, *, scope_kinds: Sequence[str], measure: str, quantile: float) -> Suggestion:
    """Soft limits from the thirty days up to the last complete one, valid from the first of the next month."""
    month, organization = Month.of(workspace.as_of_date), workspace.settings.organization
    return suggest_quotas(
        workspace.lake.scan(FACT_USAGE_DAILY, history_keys(workspace, month)),
        workspace.table(DIM_QUOTA),
        organization_id=organization.id,
        scope_kinds=scope_kinds,
        measure=measure,
        currency=organization.currency,
        quantile=quantile,
        through_date=workspace.as_of_date,
        history_floor=history_floor(workspace),
        valid_from=month.next.first_day,
    )
