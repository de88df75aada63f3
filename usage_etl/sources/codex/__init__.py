"""Codex's session logs: what a coding agent used on a developer's machine."""

from __future__ import annotations

from usage_etl.sources.codex.parse import PARSER_VERSION, SESSIONS, parse
from usage_etl.sources.codex.settings import CodexSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="codex",
    settings=CodexSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(SESSIONS,),
    facts=Facts(
        title="Codex",
        formats="rollout files (JSON lines) below ~/.codex/sessions",
        covers="each turn with cached and reasoning tokens, model, session and folder; no prompts; users by settings only",
        identity="time and running totals of the turn; repeated events and forked histories are the same turn",
        lateness="as late as you collect the files; they grow while a session runs",
        tested_on="lines rebuilt from Codex's published types and after ccusage's tests, with invented values",
    ),
)
