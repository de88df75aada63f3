"""Settings of the azure_cost source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from usage_etl.sources.fetching.export_runs import ExportSettings


class AzureCostSettings(ExportSettings):
    """Azure Cost Management exports (FOCUS, actual or amortized cost) in a folder or bucket, run by run."""

    kind: Literal["azure_cost"]
    """Which reader."""
    pattern: str = "**/manifest.json"
    """Which files below ``location`` are manifests of runs."""
    services: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "Azure OpenAI*",
        "Azure AI Foundry*",
        "Azure AI services*",
        "Azure Cognitive Services*",
        "Cognitive Services*",
        "Foundry Models*",
        "Foundry Tools*",
        "Microsoft Foundry*",
        "*Anthropic*",
        "*Claude*",
        "*Cohere*",
        "*Mistral*",
    )
    """What counts as AI, by meter category and subcategory, product, publisher or service; ``*`` is any text, ``all`` is
    everything. Other rows are counted, not staged."""
    actual_cost_feeds: Literal["billed", "billed_and_effective"] = "billed_and_effective"
    """Which amounts rows of ActualCost exports fill. ``billed`` where an AmortizedCost export of the same scope fills the
    effective ones."""
    amortized_cost_feeds: Literal["effective", "billed_and_effective"] = "billed_and_effective"
    """Which amounts rows of AmortizedCost exports fill. ``effective`` where an ActualCost export of the same scope fills the
    billed ones."""
