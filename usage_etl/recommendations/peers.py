"""What others do on the same feature: quartiles of a measure over members, and nothing where they are too few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Peers:
    """Quartiles of the others' measure, and how many they are."""

    lower: float
    middle: float
    upper: float
    members_count: int


def peers_of(member: str, measured: Mapping[str, float], *, minimum: int) -> Peers | None:
    """Quartiles over everybody but ``member``; None with fewer than ``minimum`` others."""
    others: Sequence[float] = sorted(found for name, found in measured.items() if name != member)
    if len(others) < max(minimum, 2):
        return None
    lower, _, upper = quantiles(others, n=4, method="inclusive")
    return Peers(lower, median(others), upper, len(others))
