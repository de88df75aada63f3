"""HTML of the executive report: one self-contained page for the browser, and the print form that becomes the PDF."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from usage_etl.reports.drawings import Sizes, draw
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.print_layout import PageSize, print_layout
from usage_etl.reports.templates import Templates

_WIDE = Sizes(daily=(640, 225), burn_up=(390, 228), bar=(200, 18), card=150, trend=(84, 18), meter=(56, 14))
_MIDDLE = Sizes(daily=(540, 220), burn_up=(390, 228), bar=(200, 18))
_NARROW = Sizes(daily=(300, 200), burn_up=(300, 200), bar=(200, 18))


def render_executive_html(report: ExecutiveReport, *, report_url: str | None = None, templates: Templates | None = None) -> str:
    """A page that needs no other file and no network: fonts and charts inside, scripts forbidden by its own policy."""
    chosen = templates or Templates()
    style = _font_faces(chosen) + chosen.read_text("executive/page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; font-src data:; base-uri 'none'; form-action 'none'"
    return (
        chosen.environment()
        .get_template("executive/page.html.j2")
        .render(
            report=report,
            wide=draw(report, _WIDE),
            middle=draw(report, _MIDDLE),
            narrow=draw(report, _NARROW),
            style=Markup(style),  # noqa: S704  # our own file or the user's, never data
            policy=policy,
            report_url=safe_url(report_url),
        )
    )


def render_executive_print_html(
    report: ExecutiveReport,
    *,
    page_size: PageSize = "A4",
    report_url: str | None = None,
    templates: Templates | None = None,
) -> str:
    """Input of ``pdf.render_pdf``: two pages on most data; its style sheet and fonts are ``app:`` addresses."""
    chosen = templates or Templates()
    layout = print_layout(report, page_size)
    template = chosen.environment().get_template("executive/print.html.j2")
    return template.render(
        report=report, drawn=draw(report, layout.sizes), layout=layout, page_size=page_size, report_url=safe_url(report_url)
    )


def safe_url(url: str | None) -> str:
    """``url`` when it is an http or https address, else nothing: no other scheme may become a link."""
    return url if url and url.lower().startswith(("https://", "http://")) else ""


def _font_faces(templates: Templates) -> str:
    faces = []
    for weight in (400, 600):
        data = base64.b64encode(templates.read_bytes(f"fonts/inter-latin-{weight}.woff2")).decode()
        faces.append(
            f"@font-face{{font-family:Inter;font-weight:{weight};font-display:swap;"
            f"src:url(data:font/woff2;base64,{data}) format('woff2')}}\n"
        )
    return "".join(faces)
