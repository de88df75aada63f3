"""Thirty features in seven products: what each asks of which models, how large, how often, at which hours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """One feature. ``owner_team`` runs it as a service; None where people use it."""

    feature_id: str
    name: str
    product_id: str
    product_name: str
    models: tuple[tuple[str, float], ...]
    """(model, weight)."""
    fresh_tokens: int
    """Median new input of one request."""
    output_tokens: int
    """Median output of one request."""
    prefix_tokens: int = 0
    """Stable start of every prompt (instructions, documents), which providers cache."""
    spread: float = 0.6
    """Sigma of the log-normal sizes."""
    turns: float = 1.0
    """Mean requests of one session; in a session each request carries the ones before."""
    window_tokens: int = 200_000
    """A session's context is compacted when it outgrows this."""
    owner_team: str | None = None
    per_weekday: float = 0.0
    """Requests on a usual weekday, for services."""
    hours: str = "office"
    """office, night or always."""
    weekend_ratio: float = 0.15
    season: str = "even"
    """even, month_end (finance) or burst (incidents)."""
    is_batched: bool = False
    """Goes through batch processing once the organisation uses that."""
    is_cached_long: bool = False
    """Asks for the one-hour cache."""
    gateway_cache_share: float = 0.0
    """Share of requests that the gateway answers from its own cache."""
    is_investigation: bool = False
    reasoning_share: float = 0.0
    """Share of output that is reasoning, for models that think."""


_AI = ("ai-platform", "AI Platform")
_PSA = ("psa", "PSA")
_CRM = ("crm", "CRM")
_DEFEND = ("defend", "Defend")
_VOICE = ("voice", "Voice")
_BOOKS = ("books", "Books")
_RMM = ("rmm", "RMM")

FEATURES = (
    Feature("playground", "Playground", *_AI,
            (("gpt-5.6-sol", 25), ("claude-sonnet-4-6", 30), ("gemini-2.5-pro", 20), ("mistral-large-4", 15), ("gpt-5.2", 10)),
            9000, 1500, prefix_tokens=1200, turns=3.5, spread=1.0, reasoning_share=0.35),
    Feature("custom-gpts", "Custom GPTs", *_AI, (("gpt-5.2", 50), ("gpt-5.4-mini", 30), ("claude-haiku-4-5", 20)),
            5200, 1100, prefix_tokens=46_000, turns=4, spread=0.8, reasoning_share=0.2),
    Feature("jarvis-assistant", "Jarvis assistant", *_AI,
            (("gpt-5.4-mini", 45), ("claude-haiku-4-5", 30), ("gemini-2.5-flash", 25)),
            3600, 620, prefix_tokens=18_000, turns=3, spread=0.8, gateway_cache_share=0.05),
    Feature("code-agent", "Code agent", *_AI, (("claude-opus-5", 45), ("claude-sonnet-4-6", 35), ("gpt-5.6-sol", 20)),
            22_000, 4200, prefix_tokens=120_000, turns=13, spread=0.75, window_tokens=700_000, reasoning_share=0.3),
    Feature("knowledge-index", "Knowledge index", *_AI, (("text-embedding-3-small", 100),),
            6200, 0, owner_team="team-data", per_weekday=60, hours="night", weekend_ratio=0.6, spread=0.5),
    Feature("model-evaluation", "Model evaluation", *_AI, (("gemini-2.5-pro", 40), ("claude-sonnet-4-5", 30), ("gpt-5.2", 30)),
            92_000, 6200, owner_team="team-data", per_weekday=26, hours="night", season="burst", reasoning_share=0.4),
    Feature("ticket-suggest", "Ticket suggestions", *_PSA, (("gpt-5.4-mini", 65), ("mistral-small-2603", 35)),
            26_000, 700, prefix_tokens=9000, owner_team="team-servicedesk", per_weekday=96, gateway_cache_share=0.04),
    Feature("rca-generation", "Root cause analysis", *_PSA, (("gpt-5.6-sol", 100),),
            172_000, 8200, owner_team="team-noc", per_weekday=30, hours="always", weekend_ratio=0.8, season="burst", spread=0.5,
            is_investigation=True, reasoning_share=0.5),
    Feature("ticket-triage", "Ticket triage", *_PSA, (("mistral-small-2603", 100),),
            4200, 90, owner_team="team-servicedesk", per_weekday=62, hours="always", weekend_ratio=0.35,
            gateway_cache_share=0.03),
    Feature("time-entry-summaries", "Time entry summaries", *_PSA, (("gemini-2.5-flash", 100),),
            11_000, 420, owner_team="team-servicedesk", per_weekday=28, hours="night"),
    Feature("sla-digest", "SLA digest", *_PSA, (("claude-haiku-4-5", 100),),
            138_000, 4200, owner_team="team-success", per_weekday=22, hours="night", weekend_ratio=0.5, is_batched=True),
    Feature("account-enrichment", "Account enrichment", *_CRM, (("gpt-5.2", 100),),
            118_000, 2600, owner_team="team-sales", per_weekday=58, weekend_ratio=0.05),
    Feature("activity-summaries", "Activity summaries", *_CRM, (("gemini-2.5-flash", 60), ("gemini-3.5-flash", 40)),
            38_000, 800, owner_team="team-sales", per_weekday=50),
    Feature("email-drafts", "Email drafts", *_CRM, (("claude-haiku-4-5", 55), ("gpt-5.4-mini", 45)),
            4200, 640, prefix_tokens=7500, turns=2.2),
    Feature("proposal-writer", "Proposal writer", *_CRM, (("claude-opus-5", 70), ("gpt-5.6-sol", 30)),
            24_000, 8600, prefix_tokens=110_000, turns=4, spread=0.7, window_tokens=500_000),
    Feature("lead-scoring", "Lead scoring", *_CRM, (("gpt-4.1-mini", 100),),
            6400, 60, owner_team="team-sales", per_weekday=42, hours="night", weekend_ratio=0.2),
    Feature("behavioral-analysis", "Behavioral analysis", *_DEFEND, (("claude-sonnet-4-6", 100),),
            132_000, 3600, prefix_tokens=64_000, owner_team="team-defend", per_weekday=94, hours="always", weekend_ratio=0.85,
            spread=0.5, is_cached_long=True),
    Feature("attack-narrative", "Attack narrative", *_DEFEND, (("claude-opus-5", 100),),
            150_000, 7400, owner_team="team-defend", per_weekday=25, hours="always", weekend_ratio=0.7, season="burst",
            is_investigation=True),
    Feature("phishing-triage", "Phishing triage", *_DEFEND, (("claude-haiku-4-5", 100),),
            15_000, 420, prefix_tokens=12_000, owner_team="team-defend", per_weekday=64, hours="always", weekend_ratio=0.45),
    Feature("threat-hunt", "Threat hunting", *_DEFEND, (("claude-opus-5", 60), ("gpt-5.6-sol", 40)),
            26_000, 2700, prefix_tokens=70_000, turns=9, window_tokens=520_000, is_investigation=True, reasoning_share=0.35),
    Feature("malware-report", "Malware report", *_DEFEND, (("gemini-2.5-pro", 100),),
            260_000, 8600, turns=1.6, spread=0.5, window_tokens=900_000, is_investigation=True, reasoning_share=0.4),
    Feature("call-recap", "Call recap", *_VOICE, (("gemini-3.5-flash", 100),),
            41_000, 1100, owner_team="team-voice", per_weekday=70),
    Feature("transcript-cleanup", "Transcription clean-up", *_VOICE, (("gemini-2.5-flash", 100),),
            26_000, 21_000, owner_team="team-voice", per_weekday=52),
    Feature("coaching-notes", "Coaching notes", *_VOICE, (("gpt-5.2", 100),),
            92_000, 3400, owner_team="team-voice", per_weekday=15, hours="night", is_batched=True),
    Feature("invoice-explanation", "Invoice explanation", *_BOOKS, (("mistral-large-4", 100),),
            38_000, 1300, owner_team="team-finance", per_weekday=40, season="month_end"),
    Feature("invoice-capture", "Invoice capture (RPA)", *_BOOKS, (("gpt-5.6-sol", 100),),
            92_000, 4600, prefix_tokens=16_000, owner_team="team-finance", per_weekday=84, weekend_ratio=0.05,
            season="month_end", spread=0.5),
    Feature("month-end-narrative", "Month-end narrative", *_BOOKS, (("claude-sonnet-4-5", 100),),
            160_000, 9000, turns=2.5, spread=0.5, window_tokens=700_000),
    Feature("device-summaries", "Device summaries", *_RMM, (("gemini-2.5-flash", 60), ("gpt-4.1-mini", 40)),
            21_000, 520, owner_team="team-rmm", per_weekday=52, hours="night", weekend_ratio=0.9),
    Feature("patch-analysis", "Patch analysis", *_RMM, (("claude-sonnet-4-6", 100),),
            128_000, 5200, owner_team="team-rmm", per_weekday=40, hours="night", weekend_ratio=0.4, is_batched=True),
    Feature("script-writer", "Script writer", *_RMM, (("gpt-5.6-sol", 50), ("claude-sonnet-4-6", 50)),
            12_000, 2600, prefix_tokens=38_000, turns=6, reasoning_share=0.25),
)  # fmt: skip

_BY_ID = {feature.feature_id: feature for feature in FEATURES}

_EVERYONE = (("jarvis-assistant", 5.0), ("custom-gpts", 3.0), ("playground", 1.5))
_DEVELOPER = (("code-agent", 6.0), ("jarvis-assistant", 1.5), ("custom-gpts", 1.0), ("playground", 1.5))
TEAM_HABITS: dict[str, tuple[tuple[str, float], ...]] = {
    "team-platform": _DEVELOPER,
    "team-data": (*_DEVELOPER, ("playground", 2.5)),
    "team-apps": _DEVELOPER,
    "team-rmm": (("code-agent", 3.5), ("script-writer", 4.0), ("jarvis-assistant", 2.0)),
    "team-qa": (("code-agent", 5.0), ("jarvis-assistant", 2.0), ("playground", 1.0)),
    "team-defend": (("threat-hunt", 4.0), ("malware-report", 1.6), ("code-agent", 1.2), ("jarvis-assistant", 2.0)),
    "team-servicedesk": (("jarvis-assistant", 6.0), ("custom-gpts", 2.0), ("email-drafts", 2.5)),
    "team-noc": (("jarvis-assistant", 4.0), ("script-writer", 2.5), ("custom-gpts", 1.0)),
    "team-voice": (*_EVERYONE, ("email-drafts", 2.0)),
    "team-success": (*_EVERYONE, ("email-drafts", 4.0)),
    "team-finance": (*_EVERYONE, ("month-end-narrative", 1.6)),
    "team-sales": (("email-drafts", 5.0), ("proposal-writer", 1.8), ("jarvis-assistant", 2.5), ("custom-gpts", 1.5)),
}
"""(feature, weight) that each team's people use."""


def feature(feature_id: str) -> Feature:
    """The feature of that id. Raises KeyError."""
    return _BY_ID[feature_id]
