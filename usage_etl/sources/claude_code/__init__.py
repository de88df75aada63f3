"""Claude Code's session logs: what a coding agent used on a developer's machine."""

from __future__ import annotations

from usage_etl.sources.claude_code.parse import PARSER_VERSION, SESSIONS, parse
from usage_etl.sources.claude_code.settings import ClaudeCodeSettings
from usage_etl.sources.source import Facts, Source

SOURCE = Source(
    kind="claude_code",
    settings=ClaudeCodeSettings,
    parse=parse,
    parser_version=PARSER_VERSION,
    datasets=(SESSIONS,),
    facts=Facts(
        title="Claude Code",
        formats="session files (JSON lines) below ~/.claude/projects, of sub-agents too",
        covers="each answer of the model with caches, speed, session and working folder; no prompts; users by settings only",
        identity="`message.id`; of copies the session's own beats a sub-agent's, then the larger token total counts",
        lateness="as late as you collect the files; they grow while a session runs",
        tested_on="lines rebuilt from public notes and ccusage's tests, with invented values",
    ),
)
