"""Which canonical model a logged name means, who made it and who bills it.

Names are matched by the rules bundled with genai-prices and by the configured aliases; nothing is matched by
likeness. An unknown name stays as sent and is unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import polars as pl
from genai_prices import data_snapshot
from genai_prices.types import Provider

_TELEMETRY_HOST_IDS: Mapping[str, str] = {
    "amazon-bedrock": "aws",
    "anthropic.messages": "anthropic",
    "aws.bedrock": "aws",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure-openai.chat": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure.chat": "azure",
    "azure.responses": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "google.generative-ai": "google",
    "google.vertex.chat": "google",
    "mistral_ai": "mistral",
    "openai.chat": "openai",
    "openai.embedding": "openai",
    "openai.responses": "openai",
    "x_ai": "x-ai",
}
"""Provider names of OpenTelemetry's GenAI conventions and of the AI SDK, which names the API as well."""

HOST_IDS: Mapping[str, str] = {
    **_TELEMETRY_HOST_IDS,
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "bedrock_mantle": "aws",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "github_copilot": "github-copilot",
    "gemini": "google",
    "google_genai": "google",
    "meta_llama": "meta",
    "models": "google",
    "moonshot": "moonshotai",
    "text-completion-codestral": "mistral",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "voyage": "voyageai",
    "xai": "x-ai",
}
"""Gateway spelling of a host to its price-list id; a name that is not listed is its own id."""

LOGGED_COLUMNS = ("host_raw", "model_raw", "region", "native_unit", "primitive")
"""What is logged of a request and decides its price beside its time, price class and length."""

_MAKER_PREFIXES = (
    ("claude", "anthropic"),
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("gemini", "google"),
    ("mistral", "mistral"),
    ("codestral", "mistral"),
    ("command", "cohere"),
    ("deepseek", "deepseek"),
    ("llama", "meta"),
)
_SELLERS_BY_NAME = (
    ("chatgpt-", "openai"),
    ("codex-", "openai"),
    ("dall-e", "openai"),
    ("davinci-", "openai"),
    ("babbage-", "openai"),
    ("omni-moderation-", "openai"),
    ("tts-", "openai"),
    ("whisper-", "openai"),
    ("gemma-", "google"),
    ("devstral-", "mistral"),
    ("magistral-", "mistral"),
    ("ministral-", "mistral"),
    ("open-mistral-", "mistral"),
    ("open-mixtral-", "mistral"),
    ("pixtral-", "mistral"),
    ("grok-", "x-ai"),
    ("kimi-", "moonshotai"),
    ("moonshot-", "moonshotai"),
    ("minimax-", "minimax"),
    ("sonar", "perplexity"),
    ("voyage-", "voyageai"),
)
"""Names that tell who sells the model, where nothing else does: asked for there, their maker serves them himself."""
_BEDROCK_ID = re.compile(
    r"((us|eu|apac|au|ca|jp|global|us-gov)\.)?(ai21|amazon|anthropic|cohere|meta|mistral|stability|writer)\.[a-z]"
)
"""Names in the form that only Amazon Bedrock uses."""
_RESELLERS = frozenset({"aws", "azure", "google", "openrouter", "together", "fireworks", "groq"})


class ModelCatalog:
    """Resolves logged (host, model) pairs; ``aliases`` maps a model as sent to ``provider/model`` of the price book.

    ``providers`` are newer lists of models than the bundled ones, by whose rules names are matched first.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, providers: Iterable[Provider] = ()) -> None:
        self._aliases = dict(aliases or {})
        newer = list(providers)
        replaced = {provider.id for provider in newer}
        bundled = data_snapshot.get_snapshot().providers
        self._providers = [*newer, *(provider for provider in bundled if provider.id not in replaced)]
        self._known: dict[tuple[str | None, str | None], tuple[str, str, str, str | None]] = {}

    def resolve(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """One row per distinct (host_raw, model_raw): provider, host, model_id and price_provider (null: not listed).

        With LOGGED_COLUMNS in ``pairs``, one row per distinct combination of them, so that region and units decide too.
        """
        logged = [name for name in LOGGED_COLUMNS if name in pairs.columns]
        rows = [(*row, *self.find(*row[:2])) for row in pairs.select(logged).unique().iter_rows()]
        schema = (*logged, "provider", "host", "model_id", "price_provider")
        return pl.DataFrame(rows, schema=dict.fromkeys(schema, pl.String), orient="row")

    def find(self, host_raw: str | None, model_raw: str | None) -> tuple[str, str, str, str | None]:
        """(provider, host, model_id, price_provider) of one logged pair."""
        key = (host_raw, model_raw)
        if key not in self._known:
            self._known[key] = self._find(host_raw, model_raw)
        return self._known[key]

    def _find(self, host_raw: str | None, model_raw: str | None) -> tuple[str, str, str, str | None]:
        if not model_raw:
            unnamed = self._host_id(host_raw) or "unknown"
            return unnamed, unnamed, "unknown", None
        if alias := self._aliases.get(model_raw):
            listed_by, _, model = alias.partition("/")
            return _maker(model, listed_by), self._host_id(host_raw) or listed_by, model, listed_by
        prefix, slash, rest = model_raw.partition("/")
        host = self._host_id(host_raw) or (self._host_id(prefix) if slash else None)
        name = rest if slash and self._host_id(prefix) == host else model_raw
        host = host or _seller(name)
        for candidate in dict.fromkeys((host, _maker(name, host or ""))):
            if candidate and (match := self._match(candidate, name)):
                listed_by, model_id = match
                return _maker(model_id, candidate), host or candidate, model_id, listed_by
        return _maker(name, host or "unknown"), host or "unknown", name, None

    def _match(self, provider_id: str, name: str) -> tuple[str, str] | None:
        """(provider whose list has it, model_id); resellers without an own list price fall back to the maker's list."""
        providers = self._providers
        provider = next((p for p in providers if p.id == provider_id), None)
        model = provider.find_model(name.lower(), all_providers=providers) if provider else None
        if provider is None or model is None:
            return None
        listed_by = next(p.id for p in (provider, *providers) if any(listed is model for listed in p.models))
        return listed_by, model.id

    @staticmethod
    def _host_id(host_raw: str | None) -> str | None:
        if not host_raw:
            return None
        lowered = host_raw.lower()
        return "google" if lowered.startswith("vertex_ai-") else HOST_IDS.get(lowered, lowered)


def _seller(name: str) -> str | None:
    """Who serves a model that is named without host; null where the name alone does not tell."""
    lowered = name.lower()
    if _BEDROCK_ID.match(lowered):
        return "aws"
    return next((seller for prefix, seller in _SELLERS_BY_NAME if lowered.startswith(prefix)), None)


def _maker(model: str, host: str) -> str:
    """Who made the model: the host itself unless the host sells other makers' models too."""
    if host and host not in _RESELLERS:
        return host
    bare = model.rsplit("/", 1)[-1].lower()
    return next((maker for prefix, maker in _MAKER_PREFIXES if bare.startswith(prefix)), host)
