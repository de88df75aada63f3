"""The fourteen models of the demo: names as logged and as billed, who serves them, how fast they answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One model as the gateway, the provider's bill and the price list name it."""

    key: str
    """Name that callers ask the gateway for."""
    provider: str
    """Provider in the price list: openai, anthropic, google or mistral; self-hosted has no price list."""
    logged_name: str
    billed_name: str
    title: str
    """The provider's words on its cost report."""
    host: str
    """LiteLLM's ``custom_llm_provider``."""
    api_base: str
    ttft_ms: int
    """Typical time to the first token."""
    ms_per_output_token: float
    operation: str = "acompletion"

    @property
    def deployment_id(self) -> str:
        """The gateway's own id of its deployment of the model."""
        return hashlib.sha256(f"deployment/{self.key}".encode()).hexdigest()

    @property
    def is_listed(self) -> bool:
        """Whether a price list knows the model."""
        return self.provider != "self-hosted"

    @property
    def reports_cache_writes(self) -> bool:
        """Whether the provider bills what a request writes to its prompt cache as a class of its own."""
        return self.provider == "anthropic"


_OPENAI = ("openai", "https://api.openai.com/v1/")
_ANTHROPIC = ("anthropic", "https://api.anthropic.com/v1/messages")
_GEMINI = ("gemini", "https://generativelanguage.googleapis.com/v1beta/")
_MISTRAL = ("mistral", "https://api.mistral.ai/v1/")


def _model(
    provider: str,
    key: str,
    title: str,
    served: tuple[str, str],
    speed: tuple[int, float],
    *,
    dated: str = "",
    billed: str = "",
    operation: str = "acompletion",
) -> Model:
    """``dated`` is the suffix that logs and bills carry, ``billed`` one that bills alone carry."""
    host, api_base = served
    return Model(
        key=key,
        provider=provider,
        logged_name=key + dated,
        billed_name=key + dated + billed,
        title=title,
        host=host,
        api_base=api_base,
        ttft_ms=speed[0],
        ms_per_output_token=speed[1],
        operation=operation,
    )


MODELS = {
    model.key: model
    for model in (
        _model("openai", "gpt-5.6-sol", "GPT-5.6 Sol", _OPENAI, (1450, 14.0)),
        _model("openai", "gpt-5.2", "GPT-5.2", _OPENAI, (980, 11.5), billed="-2025-12-11"),
        _model("openai", "gpt-5.4-mini", "GPT-5.4 mini", _OPENAI, (420, 6.0), billed="-2026-03-17"),
        _model("openai", "gpt-4.1-mini", "GPT-4.1 mini", _OPENAI, (360, 6.5), billed="-2025-04-14"),
        _model("openai", "text-embedding-3-small", "Embedding 3 small", _OPENAI, (130, 0.0), operation="aembedding"),
        _model("anthropic", "claude-opus-5", "Claude Opus 5", _ANTHROPIC, (1700, 17.0)),
        _model("anthropic", "claude-sonnet-4-6", "Claude Sonnet 4.6", _ANTHROPIC, (1100, 12.0)),
        _model("anthropic", "claude-sonnet-4-5", "Claude Sonnet 4.5", _ANTHROPIC, (1150, 13.0), dated="-20250929"),
        _model("anthropic", "claude-haiku-4-5", "Claude Haiku 4.5", _ANTHROPIC, (520, 6.5), dated="-20251001"),
        _model("google", "gemini-2.5-pro", "Gemini 2.5 Pro", _GEMINI, (1900, 9.0)),
        _model("google", "gemini-2.5-flash", "Gemini 2.5 Flash", _GEMINI, (480, 4.0)),
        _model("google", "gemini-3.5-flash", "Gemini 3.5 Flash", _GEMINI, (560, 4.5)),
        _model("mistral", "mistral-large-4", "Mistral Large 4", _MISTRAL, (760, 10.0)),
        _model("mistral", "mistral-small-2603", "Mistral Small", _MISTRAL, (300, 5.0)),
    )
}
"""Priced models by the name callers use."""

_OWN_MACHINES = ("hosted_vllm", "http://vllm.northwind.internal:8000/v1")
SELF_HOSTED = _model("self-hosted", "internal-llama-ft", "Internal fine-tune", _OWN_MACHINES, (210, 9.0))
"""A fine-tune on own machines that no price list knows."""

BILLED_PROVIDERS = ("anthropic", "openai")
"""Providers that deliver a bill; the others' cost is an estimate."""
