"""What mails about papers have in common: inlined styles, and text in columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import css_inline

from usage_etl.reports.templates import Templates

_WIDTH = 76
_STYLES = ("executive/email.css", "statement/email.css")


def inlined(template: str, templates: Templates | None, **context: object) -> str:
    """HTML of a mail template with its styles inside its elements: no remote address, no script, no image."""
    chosen = templates or Templates()
    style = "".join(chosen.read_text(name) for name in _STYLES)
    html = chosen.environment().get_template(template).render(**context, style=style)
    inliner = css_inline.CSSInliner(keep_style_tags=False, keep_at_rules=True, load_remote_stylesheets=False)
    return inliner.inline(html.lstrip())


def wrapped_text(text: str) -> list[str]:
    """Lines of at most 76 characters where words allow it."""
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def columns_text(rows: Sequence[tuple[str, ...]], *, numbers: tuple[int, ...]) -> list[str]:
    """Aligned columns: those in ``numbers`` to the right, others to the left."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
