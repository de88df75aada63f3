"""Lines of API Management's LLM and gateway logs: seeded; two LLM rows (tokens, messages) and one gateway row to a call."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = datetime(2026, 11, 2, tzinfo=UTC)
RESOURCE = "/SUBSCRIPTIONS/12CABCB4-86E8-404F-A3D2-1DC9982F45CA/RESOURCEGROUPS/AI/PROVIDERS/MICROSOFT.APIMANAGEMENT/SERVICE/ACME"
_PROMPT = "summarise the incident report for finance and list the open actions with owners and dates " * 4


def _envelope(category: str, started: datetime, correlation: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "time": f"{started:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "resourceId": RESOURCE,
        "category": category,
        "operationName": f"Microsoft.ApiManagement/{category}",
        "correlationId": correlation,
        "location": "West Europe",
        "Level": 4,
        **more,
        "properties": properties,
    }


def _call(rng: random.Random) -> Iterator[dict[str, Any]]:
    correlation = str(uuid.UUID(int=rng.getrandbits(128)))
    started = DAY + timedelta(microseconds=rng.randrange(86_400_000_000))
    prompt, completion = int(rng.lognormvariate(7, 1.2)) + 1, int(rng.lognormvariate(5.5, 1)) + 1
    model = rng.choice(("gpt-5.2", "gpt-5.2-mini"))
    about = {
        "correlationId": correlation,
        "operationName": "ChatCompletions_Create",
        "modelName": model,
        "deploymentName": f"{model}-eu",
        "apiVersion": "2026-05-01",
        "requestId": f"chatcmpl-{rng.getrandbits(116):029x}",
        "isStreamCompletion": rng.random() < 0.5,
    }
    tokens = {"promptTokens": prompt, "completionTokens": completion, "totalTokens": prompt + completion}
    messages = {"requestMessages": [{"role": "user", "content": _PROMPT}]}
    yield _envelope("GatewayLlmLogs", started, correlation, {"sequenceNumber": 0, **about, **tokens})
    yield _envelope("GatewayLlmLogs", started, correlation, {"sequenceNumber": 1, **about, **messages})
    answered = {
        "method": "POST",
        "url": f"https://acme.azure-api.net/openai/deployments/{model}-eu/chat/completions?api-version=2026-05-01",
        "responseCode": 200,
        "backendUrl": "https://acme-eu.openai.azure.com/openai/deployments",
        "backendTime": rng.randrange(200, 30_000),
        "cache": "none",
        "apiId": "azure-openai",
        "productId": f"product-{rng.randrange(12)}",
        "apimSubscriptionId": f"team-{rng.randrange(40)}",
        "userId": str(rng.randrange(2000)),
    }
    address = {"callerIpAddress": "10.1.2.***", "durationMs": rng.randrange(200, 30_000), "isRequestSuccess": True}
    yield _envelope("GatewayLogs", started, correlation, answered, **address)


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` records to ``path``, one a line. The same ``rows`` give the same bytes."""
    rng = random.Random(20261102)
    with path.open("w", encoding="utf-8") as sink:
        written = 0
        while written < rows:
            for record in list(_call(rng))[: rows - written]:
                sink.write(json.dumps(record, separators=(",", ":")) + "\n")
                written += 1
