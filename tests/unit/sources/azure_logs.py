"""Records of Azure's logs for tests, in the envelope of diagnostic settings and as rows of a workspace's tables."""

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.unit.sources.outcomes import Outcome, outcome_of, outcome_of_path
from usage_etl.sources.azure_openai_logs.settings import AzureOpenAILogsSettings
from usage_etl.sources.reading.bundles import write_bundle

CORRELATION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
RESOURCE = "SUBSCRIPTIONS/S1/RESOURCEGROUPS/AI/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/ACME"
TIME = "2026-11-02T09:20:46.8473710Z"
TICKS = 639_292_080_468_473_710
"""``TIME`` as .NET has it."""


def settings(**changes: Any) -> AzureOpenAILogsSettings:
    """Settings with what matters changed."""
    return AzureOpenAILogsSettings(kind="azure_openai_logs", name="azure", location="landing/azure", **changes)


def envelope(category: str, properties: Any, **changes: Any) -> dict[str, Any]:
    """A record as diagnostic settings write it."""
    return {
        "time": TIME,
        "resourceId": f"/{RESOURCE}",
        "category": category,
        "operationName": f"Microsoft.ApiManagement/{category}",
        "correlationId": CORRELATION,
        "location": "West Europe",
        "properties": properties,
    } | changes


def llm(sequence: int | None = 0, *, correlation: str = CORRELATION, time: str = TIME, **changes: Any) -> dict[str, Any]:
    """A row of the LLM log: with tokens where it is the first, with messages otherwise."""
    properties = {
        "sequenceNumber": sequence,
        "operationName": "ChatCompletions_Create",
        "modelName": "gpt-5.2",
        "deploymentName": "chat-eu",
        "apiVersion": "2026-05-01",
        "requestId": "chatcmpl-1",
        "isStreamCompletion": False,
    }
    tokens = {"promptTokens": 1000, "completionTokens": 200, "totalTokens": 1200}
    messages = {"requestMessages": [{"role": "user", "content": "secret"}]}
    more = messages if sequence else tokens
    return envelope("GatewayLlmLogs", properties | more | changes, correlationId=correlation, time=time)


def gateway(*, correlation: str = CORRELATION, top: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A row of the gateway log of a call that succeeded."""
    properties = {
        "method": "POST",
        "url": "https://acme.azure-api.net/openai/deployments/chat-eu/chat/completions",
        "responseCode": 200,
        "backendUrl": "https://acme-eu.openai.azure.com/openai",
        "cache": "none",
        "apiId": "azure-openai",
        "productId": "research-tools",
        "apimSubscriptionId": "research-sub",
        "userId": "ana",
    } | changes
    address = {"durationMs": 2000, "callerIpAddress": "81.2.69.***", "isRequestSuccess": True}
    return envelope("GatewayLogs", properties, correlationId=correlation) | address | (top or {})


def request(*, top: dict[str, Any] | None = None, as_text: bool = True, **changes: Any) -> dict[str, Any]:
    """A row of Azure OpenAI's request log; ``properties`` is JSON in text or an object."""
    properties = {
        "apiName": "Azure OpenAI API version 2026-05-01",
        "requestTime": TICKS,
        "requestLength": 512,
        "responseTime": TICKS + 20_000_000,
        "objectId": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
        "streamType": "Non-Streaming",
        "modelDeploymentName": "chat-eu",
        "modelName": "gpt-4o",
        "modelVersion": "2024-08-06",
    } | changes
    shown = {
        "operationName": "ChatCompletions_Create",
        "callerIpAddress": "81.2.69.***",
        "resultSignature": "200",
        "durationMs": 2000,
    }
    return envelope("RequestResponse", json.dumps(properties) if as_text else properties) | shown | (top or {})


def as_table(record: dict[str, Any], table: str) -> dict[str, Any]:
    """The same record as a row of a workspace's table."""
    flat = {name: value for name, value in record.items() if name not in ("properties", "category", "time", "operationName")}
    flat |= record["properties"]
    columns = {name[0].upper() + name[1:]: value for name, value in flat.items()}
    if "DurationMs" in columns:
        columns["TotalTime"] = columns.pop("DurationMs")
    return {"TimeGenerated": record["time"], "Type": table, **columns}


def lines(*records: dict[str, Any]) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(record) + "\r\n" for record in records).encode()


def outcome(*records: dict[str, Any], **changes: Any) -> Outcome:
    """What one file becomes under changed settings."""
    return outcome_of(lines(*records), settings(**changes))


def outcome_of_hour(*members: tuple[str, bytes], **changes: Any) -> Outcome:
    """What an hour of these objects becomes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour"
        write_bundle(path, members)
        return outcome_of_path(path, settings(**changes))
