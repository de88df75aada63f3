"""Settings of the azure_openai_logs source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings


class AzureOpenAILogsSettings(FolderSourceSettings):
    """Azure OpenAI request logs and API Management LLM gateway logs, as diagnostic settings write them to a storage account."""

    kind: Literal["azure_openai_logs"]
    """Which reader."""
    pattern: str = "**/*.json*"
    """Which files below ``location`` are read."""
    usage_log: Literal["gateway_llm", "request_response"] = "gateway_llm"
    """Which log is the usage. gateway_llm: API Management's LLM log, with tokens, completed by its gateway log.
    request_response: Azure OpenAI's own request log, which tells no tokens. Never both: they describe the same calls."""
    llm_apis: tuple[str, ...] = ()
    """Ids of API Management APIs whose calls count also where only the gateway log has them, as it has refused ones."""
    host: str = "azure"
    """Who serves and bills the models, where no backend address tells."""
    keep_client_ip: bool = False
    """Whether the caller's address is kept; Azure masks its last part."""
