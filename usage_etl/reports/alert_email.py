"""The mail about an alert: what happened in the subject, the facts in a table, the alerts of a digest below each other."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from usage_etl.reports.email import EmailContent
from usage_etl.reports.html import safe_url
from usage_etl.reports.paper_email import columns_text, inlined, wrapped_text
from usage_etl.reports.templates import Templates
from usage_etl.schemas.notices import Notice

_SIGNS = {"critical": ("Critical", "bad"), "warning": ("Warning", "warn"), "info": ("For information", "neutral")}
_ACTIONS = {"resolved": ("Resolved", "good"), "corrected": ("Corrected", "good"), "no_data": ("Data is late", "warn")}
_MEMBERS = 50


@dataclass(frozen=True)
class Sign:
    """State of an alert: its word and the tone it is printed in."""

    text: str
    tone: str


def render_alert_email(
    notice: Notice, *, organization_name: str, link: str | None = None, why: str = "", templates: Templates | None = None
) -> EmailContent:
    """Subject, preheader, HTML and text of a mail about ``notice``. ``why`` says why the reader gets it."""
    preheader = " ".join(notice.lines)[:200]
    html = inlined(
        "alert/email.html.j2",
        templates,
        notice=notice,
        organization=organization_name,
        sign=sign_of(notice),
        when=_when(notice),
        members=[(member, sign_of(member)) for member in notice.members[:_MEMBERS]],
        left_out=max(len(notice.members) - _MEMBERS, 0),
        link=safe_url(link),
        preheader=preheader,
        foot=_foot(notice, why),
    )
    return EmailContent(
        subject=notice.title, preheader=preheader, html=html, text=_text(notice, organization_name, link=link, why=why)
    )


def sign_of(notice: Notice) -> Sign:
    """What is over is green, whatever it was before."""
    if notice.action == "digest":
        return Sign(f"{len(notice.members)} alerts" if notice.members else "Digest", _SIGNS[notice.severity][1])
    return Sign(*_ACTIONS.get(notice.action, _SIGNS[notice.severity]))


def _when(notice: Notice) -> str:
    return f"{notice.happened_at.astimezone(dt.UTC):%-d %B %Y, %H:%M} UTC"


def _foot(notice: Notice, why: str) -> tuple[str, ...]:
    return (why, f"Notice {notice.notice_id[:12]} of alert {notice.alert_key[:12]}.")


def _text(notice: Notice, organization_name: str, *, link: str | None, why: str) -> str:
    lines = [organization_name, *wrapped_text(notice.title), f"{sign_of(notice).text}, {_when(notice)}"]
    for sentence in notice.lines:
        lines += ["", *wrapped_text(sentence)]
    if notice.facts:
        lines += ["", *columns_text(list(notice.facts.items()), numbers=())]
    for member in notice.members[:_MEMBERS]:
        lines += [
            "",
            f"* {sign_of(member).text}: {member.title}",
            *(line for text in member.lines for line in wrapped_text(text)),
        ]
    if len(notice.members) > _MEMBERS:
        lines += ["", f"and {len(notice.members) - _MEMBERS} more"]
    if url := safe_url(link):
        lines += ["", f"Open the reports: {url}"]
    for sentence in _foot(notice, why):
        lines += ["", *wrapped_text(sentence)] if sentence else []
    return "\n".join(line.rstrip() for line in lines) + "\n"
