"""Providers as OpenTelemetry and the AI SDK spell them are found in the price lists."""

import pytest

from usage_etl.pricing.catalog import ModelCatalog


@pytest.mark.parametrize(
    ("host", "model", "expected"),
    [
        ("aws.bedrock", "anthropic.claude-sonnet-4-20250514-v1:0", ("aws", "aws")),
        ("azure.ai.openai", "gpt-4o-2024-08-06", ("azure", "openai")),
        ("gcp.vertex_ai", "gemini-2.5-flash", ("google", "google")),
        ("openai.responses", "gpt-4o", ("openai", "openai")),
        ("anthropic.messages", "claude-sonnet-4-20250514", ("anthropic", "anthropic")),
    ],
)
def test_a_telemetry_name_means_a_host_with_prices(host: str, model: str, expected: tuple[str, str]) -> None:
    _, host_id, _, listed_by = ModelCatalog().find(host, model)
    assert (host_id, listed_by) == expected
