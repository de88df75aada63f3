"""Model names as AWS bills write them to the ids that models are called by: a maintained list, and the grammar of families.

Three spellings occur: a short name in usage types of Bedrock (``Claude4.6Sonnet``, ``NovaPro``), the id itself in newer ones
(``openai.gpt-oss-120b``), and the product name of models sold through Marketplace (``Claude Sonnet 4.6 (Amazon Bedrock
Edition)``). A name that is not listed names no model.
"""

from __future__ import annotations

import re

_CLAUDE_FAMILIES = "sonnet|opus|haiku|fable|mythos"
_CLAUDE = (
    re.compile(rf"claude ?(?P<version>\d+(?:\.\d+)?) ?(?P<family>{_CLAUDE_FAMILIES})(?: ?(?P<edition>v\d))?"),
    re.compile(rf"claude ?(?P<family>{_CLAUDE_FAMILIES}) ?(?P<version>\d+(?:\.\d+)?)(?: ?(?P<edition>v\d))?"),
)
_CLAUDE_RELEASES = {
    ("3", "haiku"): "claude-3-haiku-20240307-v1:0",
    ("3", "sonnet"): "claude-3-sonnet-20240229-v1:0",
    ("3", "opus"): "claude-3-opus-20240229-v1:0",
    ("3.5", "sonnet"): "claude-3-5-sonnet-20240620-v1:0",
    ("3.5", "sonnet v2"): "claude-3-5-sonnet-20241022-v2:0",
    ("3.5", "haiku"): "claude-3-5-haiku-20241022-v1:0",
    ("3.7", "sonnet"): "claude-3-7-sonnet-20250219-v1:0",
    ("4", "sonnet"): "claude-sonnet-4-20250514-v1:0",
    ("4", "opus"): "claude-opus-4-20250514-v1:0",
    ("4.1", "opus"): "claude-opus-4-1-20250805-v1:0",
    ("4.5", "sonnet"): "claude-sonnet-4-5-20250929-v1:0",
    ("4.5", "haiku"): "claude-haiku-4-5-20251001-v1:0",
}
"""(version, family) to the dated id. Versions after these have ids without a date."""

_NOVA = re.compile(r"nova ?(?:(?P<version>\d)(?:\.0)? ?)?(?P<size>micro|lite|pro|premier)")
_LLAMA = re.compile(r"llama ?(?P<version>3|3-[123])-(?P<size>\d+b)")
_OPENAI = re.compile(r"openai (?P<name>gpt-\d+(?:\.\d+)?(?: (?:mini|nano|pro|sol|terra|luna|astra))?)")
_LISTED = {
    "cohere command r": "cohere.command-r-v1:0",
    "cohere command r+": "cohere.command-r-plus-v1:0",
    "llama4-maverick-17b": "meta.llama4-maverick-17b-instruct-v1:0",
    "llama4-scout-17b": "meta.llama4-scout-17b-instruct-v1:0",
    "openai.gpt-oss-120b": "openai.gpt-oss-120b-1:0",
    "openai.gpt-oss-20b": "openai.gpt-oss-20b-1:0",
    "titanembeddingg1-text": "amazon.titan-embed-text-v1",
    "titanembeddingsg1-text": "amazon.titan-embed-text-v1",
    "titanembeddingv2-text": "amazon.titan-embed-text-v2:0",
    "titanembedv2-text": "amazon.titan-embed-text-v2:0",
    "titantextg1-express": "amazon.titan-text-express-v1",
    "titantextg1-lite": "amazon.titan-text-lite-v1",
}
_ID = re.compile(r"[a-z0-9]+\.[a-z][a-z0-9.:-]*")
_EDITION = re.compile(r"(.+?) \(amazon bedrock(?: edition)?\)")


def model_id(name: str | None) -> str | None:
    """The id of a model as a usage type or a product names it; null where it is not listed."""
    text = (name or "").strip().lower()
    if product := _EDITION.fullmatch(text):
        text = product[1].strip()
    if text in _LISTED:
        return _LISTED[text]
    if found := next((match for pattern in _CLAUDE if (match := pattern.fullmatch(text))), None):
        return _claude(found)
    if found := _NOVA.fullmatch(text):
        version = found["version"]
        return f"amazon.nova-{found['size']}-v1:0" if version in (None, "1") else f"amazon.nova-{version}-{found['size']}-v1:0"
    if found := _LLAMA.fullmatch(text):
        return f"meta.llama{found['version']}-{found['size']}-instruct-v1:0"
    if found := _OPENAI.fullmatch(text):
        return f"openai.{found['name'].replace(' ', '-')}"
    return text if _ID.fullmatch(text) else None


def _claude(found: re.Match[str]) -> str | None:
    version, family, edition = found["version"].removesuffix(".0"), found["family"], found["edition"]
    listed = _CLAUDE_RELEASES.get((version, f"{family} {edition}" if edition else family))
    if listed or edition or float(version) < 4:
        return f"anthropic.{listed}" if listed else None
    return f"anthropic.claude-{family}-{version.replace('.', '-')}"
