"""What Bedrock's usage types count: token class, price class, context band, and where the model may run.

Bedrock's own read ``<region>-<model>-<class>[-<words>]``. Those of Marketplace read ``<region>-MP:<region>_<class>[_<words>]``
and ``-Units``, and leave the model to the product's name. A usage type with one word that is not listed here is unmapped.
"""

from __future__ import annotations

import re

from usage_etl.sources.rows.aws_models import model_id
from usage_etl.sources.rows.meters import NOT_USAGE, UNMAPPED, Meter

_CLASSES = {
    "input-tokens": "input_uncached_tokens",
    "input-token-count": "input_uncached_tokens",
    "text-input-tokens": "input_uncached_tokens",
    "output-tokens": "output_tokens",
    "output-token-count": "output_tokens",
    "response-token-count": "output_tokens",
    "text-output-tokens": "output_tokens",
    "cache-read-tokens": "cache_read_tokens",
    "cache-read-input-tokens": "cache_read_tokens",
    "cache-read-input-token-count": "cache_read_tokens",
    "cache-write-tokens": "cache_write_5m_tokens",
    "cache-write-5m-tokens": "cache_write_5m_tokens",
    "cache-write-1h-tokens": "cache_write_1h_tokens",
    "cache-write-input-tokens": "cache_write_5m_tokens",
    "cache-write-input-token-count": "cache_write_5m_tokens",
    "cache-write-1h-input-token-count": "cache_write_1h_tokens",
}
_WORDS = {
    "standard": ("processing", "standard"),
    "batch": ("processing", "batch"),
    "flex": ("processing", "flex"),
    "priority": ("processing", "priority"),
    "cross-region-global": ("scope", "global"),
    "global": ("scope", "global"),
    "cross-region-geo": ("scope", "cross_region"),
    "geo": ("scope", "cross_region"),
    "1h": ("lifetime", "1h"),
    "5m": ("lifetime", "5m"),
    "lctx": ("band", "long"),
    "long-context": ("band", "long"),
}
"""Word after the class to what it says."""

_CLASS = "|".join(sorted(_CLASSES, key=len, reverse=True))
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_OWN = re.compile(rf"(?:[A-Z][A-Z0-9]{{1,4}}-)?(?P<model>\S+?)(?:-mantle)?-(?P<class>{_CLASS})(?P<words>(?:-(?:{_WORD}))*)")
_MARKETPLACE = re.compile(r"(?:[A-Z][A-Z0-9]{1,4}-)?MP:(?:[A-Z]{2,4}\d?_)?(?P<metric>\w+?)(?:-Units)?")
_METRIC = re.compile(rf"(?P<class>{_CLASS})(?P<words>(?:-(?:{_WORD}))*)")
_TOOLS = re.compile(
    r"guardrail|provisioned|modelunit|knowledgebase|-agent|flows?-|customization|custom-model-storage", re.IGNORECASE
)

_USAGE = frozenset({"usage", "discountedusage", "savingsplancoveredusage"})
"""Line item types of CUR, and the charge category of FOCUS, that meter something."""


def read_meter(line_type: str | None, usage_type: str | None, product: str | None) -> Meter:
    """What a usage type counts. ``line_type``: what is no usage meters no model. ``product``: names the Marketplace's model."""
    if (line_type or "").lower() not in _USAGE:
        return NOT_USAGE
    text = (usage_type or "").strip()
    if found := _MARKETPLACE.fullmatch(text):
        metric = _METRIC.fullmatch(_hyphened(found["metric"]))
        return _meter(metric, product) if metric else UNMAPPED
    if found := _OWN.fullmatch(text):
        return _meter(found, found["model"])
    return NOT_USAGE if _TOOLS.search(text) else UNMAPPED


def _hyphened(metric: str) -> str:
    """``CacheReadInputTokenCount_Global`` and ``cache_read_tokens_global`` in one spelling."""
    humps = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9]h|[0-9]m)(?=[A-Z])", "-", metric)
    words = humps.replace("_", "-").lower()
    return re.sub(r"-(global|geo)-(standard|batch|flex|priority)$", r"-\2-\1", words).replace("l-ctx", "lctx")


def _meter(found: re.Match[str], name: str | None) -> Meter:
    said: dict[str, str] = {}
    for word in re.findall(rf"-({_WORD})(?=-|$)", found["words"]):
        subject, meaning = _WORDS[word]
        if said.setdefault(subject, meaning) != meaning:
            return UNMAPPED
    model, token_class = model_id(name), _CLASSES[found["class"]]
    if "lifetime" in said:
        if not token_class.startswith("cache_write"):
            return UNMAPPED
        token_class = f"cache_write_{said['lifetime']}_tokens"
    if model is None:
        return UNMAPPED
    return Meter(
        "mapped",
        model_raw=f"global.{model}" if said.get("scope") == "global" else model,
        token_class=token_class,
        processing=said.get("processing", "standard"),
        context_band=said.get("band"),
        deployment_scope=said.get("scope", "regional"),
    )
