"""HTML to PDF: tagged, byte-identical for equal input, without network and without any file but our own assets.

The only file that imports WeasyPrint.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from weasyprint import HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from usage_etl.reports.templates import Templates

SCHEME = "app:"
_MEDIA_TYPES = {".css": "text/css", ".ttf": "font/ttf"}


class ForbiddenAddressError(FatalURLFetchingError):  # type: ignore[misc]  # weasyprint ships no types
    """The document asked for something that is not one of our own style sheets or fonts; nothing was rendered."""


class AssetFetcher(URLFetcher):  # type: ignore[misc]  # weasyprint ships no types
    """Serves ``app:<name>`` for style sheets and fonts of the template folders; anything else stops the rendering."""

    def __init__(self, templates: Templates) -> None:
        super().__init__(allowed_protocols=(), allow_redirects=False, fail_on_errors=True)
        self._templates = templates

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:  # noqa: ARG002  # the base class's signature
        """The asset behind ``url``. Raises ForbiddenAddressError."""
        name = url.removeprefix(SCHEME)
        media_type = _MEDIA_TYPES.get(PurePosixPath(name).suffix)
        if not url.startswith(SCHEME) or media_type is None:
            raise ForbiddenAddressError(f"a report may not load {url[:200]!r}")
        try:
            content = self._templates.read_bytes(name)
        except FileNotFoundError as error:
            raise ForbiddenAddressError(str(error)) from error
        return URLFetcherResponse(url, content, {"Content-Type": media_type})


def render_pdf(html: str, *, templates: Templates | None = None) -> bytes:
    """PDF/UA-1 of ``html``. Equal ``html``, templates and library versions give equal bytes in any process."""
    fonts = FontConfiguration()
    document = HTML(string=html, url_fetcher=AssetFetcher(templates or Templates()), base_url=None, media_type="print")
    content = document.write_pdf(
        font_config=fonts,
        pdf_variant="pdf/ua-1",
        pdf_identifier=hashlib.sha256(html.encode()).digest()[:16],
    )
    if not isinstance(content, bytes):  # only a None target returns bytes
        raise TypeError("weasyprint returned no bytes")
    return content
