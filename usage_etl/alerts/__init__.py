"""Which alerts fire: rules are compared with what the marts say, and each crossing is told once.

This room owns what an alert is, when it is told, corrected and resolved, and in which words. It is pure: what was decided
before comes in as a value, what is decided now goes out as one. Storing both, and handing notices over, is the edge's work
(``delivery``); the assets put the two together.
"""

from __future__ import annotations

from usage_etl.alerts.looked_up import Watch
from usage_etl.alerts.machine import Policy, step
from usage_etl.alerts.observation import Observation, Observations
from usage_etl.alerts.observations import Handling, Marts, observe
from usage_etl.alerts.rule_versions import rule_version

__all__ = ["Handling", "Marts", "Observation", "Observations", "Policy", "Watch", "observe", "rule_version", "step"]
