"""The trust block knows every finding of the tie-out."""

from usage_etl.reports.trust import _CAUSE_ORDER, _VERDICTS
from usage_etl.schemas.marts import DIFFERENCE_CAUSES


def test_every_cause_of_a_difference_has_a_verdict_and_a_rank() -> None:
    assert _VERDICTS.keys() == set(DIFFERENCE_CAUSES)
    assert sorted(_CAUSE_ORDER) == sorted(DIFFERENCE_CAUSES)
