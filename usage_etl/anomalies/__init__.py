"""What stood out against its own past, exactly explained; proven patterns; and what rules of thumb say.

Owns what counts as normal. Judges a day from earlier days only.
"""

from usage_etl.anomalies.find import About, Findings, find_anomalies
from usage_etl.anomalies.judgements import judge_series

__all__ = ["About", "Findings", "find_anomalies", "judge_series"]
