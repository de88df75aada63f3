"""What stood out against its own past, exactly explained; proven patterns; and what rules of thumb say.

Owns what counts as normal. Judges a day from earlier days only.
"""

from usage_etl.anomalies.diagnoses import Clinic, diagnoses
from usage_etl.anomalies.find import About, Findings, find_anomalies
from usage_etl.anomalies.judgements import judge_series
from usage_etl.anomalies.seasonality import local_hours, seasonality
from usage_etl.anomalies.series import detail_rows

__all__ = [
    "About",
    "Clinic",
    "Findings",
    "detail_rows",
    "diagnoses",
    "find_anomalies",
    "judge_series",
    "local_hours",
    "seasonality",
]
