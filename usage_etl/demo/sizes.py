"""How large requests are and how long they take: log-normal sizes, growing sessions, provider caches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from usage_etl.demo.features import Feature
from usage_etl.demo.models import Model

_CACHE_BLOCK = 128
_MINIMUM_CACHED = 1024
_ANSWER_LIMIT = 60_000


@dataclass(frozen=True)
class Size:
    """Tokens of one request: the five billable classes, and how many of the output are reasoning."""

    tokens: tuple[int, int, int, int, int]
    reasoning_tokens: int

    @property
    def context_tokens(self) -> int:
        """What the next request of the session carries along."""
        return sum(self.tokens)


def log_normal(random: Random, median: float, sigma: float) -> int:
    """A whole number around ``median``; 0 stays 0."""
    if not median:
        return 0
    return max(1, round(median * math.exp(random.gauss(0.0, sigma))))


def request_size(random: Random, feature: Feature, model: Model, *, carried_tokens: int, is_warm: bool) -> Size:
    """Size of one request that carries ``carried_tokens`` of earlier context; ``is_warm``: they are in the provider's cache."""
    fresh = log_normal(random, feature.fresh_tokens, feature.spread)
    output = min(_ANSWER_LIMIT, log_normal(random, feature.output_tokens, feature.spread))
    if model.operation == "aembedding":
        return Size((fresh, 0, 0, 0, 0), 0)
    reasoning = round(output * feature.reasoning_share * random.random()) if feature.reasoning_share else 0
    if model.reports_cache_writes and feature.prefix_tokens:
        return Size((*_explicitly_cached(random, feature, carried_tokens, fresh, is_warm=is_warm), output), reasoning)
    read = carried_tokens // _CACHE_BLOCK * _CACHE_BLOCK if is_warm and carried_tokens >= _MINIMUM_CACHED else 0
    return Size((carried_tokens - read + fresh, read, 0, 0, output), reasoning)


def _explicitly_cached(random: Random, feature: Feature, carried: int, fresh: int, *, is_warm: bool) -> tuple[int, int, int, int]:
    """Uncached, read, written for five minutes, written for an hour."""
    uncached = min(fresh, 3 + int(random.random() * 60))
    written = fresh - uncached
    read = carried if is_warm else 0
    written += carried - read
    if feature.turns <= 1 and is_warm:  # services cache their instructions, not the document of the day
        return uncached + written, read, 0, 0
    if feature.is_cached_long:
        return uncached + fresh - uncached, read, 0, carried - read
    return uncached, read, written, 0


def compacted(random: Random, feature: Feature, context_tokens: int) -> int:
    """Context that the next request carries: the whole, or a summary when it outgrew the feature's window."""
    if context_tokens <= feature.window_tokens:
        return context_tokens
    return feature.prefix_tokens + round(feature.window_tokens * random.uniform(0.06, 0.12))


def duration_ms(random: Random, model: Model, size: Size) -> tuple[int, int]:
    """(time to the first token, whole duration) in milliseconds."""
    noise = math.exp(random.gauss(0.0, 0.3))
    uncached = size.tokens[0] + size.tokens[2] + size.tokens[3]
    ttft = round(model.ttft_ms * noise + uncached * 0.012)
    return ttft, ttft + round(size.tokens[4] * model.ms_per_output_token * math.exp(random.gauss(0.0, 0.2))) + 1
