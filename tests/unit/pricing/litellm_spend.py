"""LiteLLM's spend of a request, calculated as LiteLLM does: floats, its published rates, its tiers and its cache rules.

Rates are numbers of its public price map (MIT) for a handful of models, dollars per token.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """One model's entry of the price map."""

    input: float
    output: float
    read: float | None = None
    creation: float | None = None
    creation_1h: float | None = None
    above_200k: "Rates | None" = None
    batches: "Rates | None" = None


PRICE_MAP = {
    ("openai", "gpt-4o"): Rates(2.5e-06, 1e-05, 1.25e-06, batches=Rates(1.25e-06, 5e-06, 1.25e-06)),
    ("openai", "gpt-4.1-mini"): Rates(4e-07, 1.6e-06, 1e-07),
    ("openai", "text-embedding-3-large"): Rates(1.3e-07, 0.0),
    ("anthropic", "claude-haiku-4-5-20251001"): Rates(1e-06, 5e-06, 1e-07, 1.25e-06, 2e-06),
    ("anthropic", "claude-opus-4-5-20251101"): Rates(5e-06, 2.5e-05, 5e-07, 6.25e-06, 1e-05),
    ("anthropic", "claude-sonnet-4-5-20250929"): Rates(
        3e-06, 1.5e-05, 3e-07, 3.75e-06, 6e-06, above_200k=Rates(6e-06, 2.25e-05, 6e-07, 7.5e-06, 1.2e-05)
    ),
    ("gemini", "gemini-2.5-pro"): Rates(1.25e-06, 1e-05, 1.25e-07, above_200k=Rates(2.5e-06, 1.5e-05, 2.5e-07)),
}


@dataclass(frozen=True)
class Usage:
    """Token counts as a row of the log has them: the prompt holds its cache reads and writes."""

    prompt: int
    completion: int
    read: int = 0
    write: int = 0
    write_1h: int = 0
    is_batch: bool = False


def spend(rates: Rates, usage: Usage) -> float:
    """Dollars: fresh input, reads, writes of both lifetimes and output, each at its rate of the request's one tier."""
    if usage.is_batch and rates.batches is not None:
        rates = rates.batches
    if rates.above_200k is not None and usage.prompt > 200_000:
        rates = rates.above_200k
    prompt_cost = float(usage.prompt - usage.read - usage.write) * rates.input
    prompt_cost += float(usage.read) * (rates.input if rates.read is None else rates.read)
    creation = rates.input if rates.creation is None else rates.creation
    prompt_cost += float(usage.write - usage.write_1h) * creation
    prompt_cost += float(usage.write_1h) * (creation if rates.creation_1h is None else rates.creation_1h)
    return prompt_cost + float(usage.completion) * rates.output
