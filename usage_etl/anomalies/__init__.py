"""Days that cost far more than their own past leads to expect, ranked by money, each with what carried it.

Owns what counts as normal. Judges a day from earlier days only.
"""

from usage_etl.anomalies.spikes import spikes

__all__ = ["spikes"]
