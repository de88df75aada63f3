"""HTML to PDF: tagged, byte-identical for equal input, without network and without any file but our own assets.

The only file that imports WeasyPrint.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from weasyprint import CSS, HTML, LOGGER
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from usage_etl.reports.templates import Templates

SCHEME = "app:"
_MEDIA_TYPES = {".css": "text/css", ".ttf": "font/ttf"}


class ForbiddenAddressError(FatalURLFetchingError):  # type: ignore[misc]  # weasyprint ships no types
    """The document asked for something that is not one of our own style sheets or fonts; nothing was rendered."""


@dataclass(frozen=True)
class PdfDocument:
    """A rendered file. ``missing_characters`` are those no installed font can show; they are printed as boxes."""

    content: bytes
    missing_characters: tuple[str, ...]
    pages_count: int = 1


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


class _MissingGlyphs(logging.Handler):
    """Collects the characters that WeasyPrint reports to have no glyph, of the thread that renders."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.characters: set[str] = set()
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the character of a ``.notdef`` warning."""
        if record.thread == self._thread and str(record.msg).startswith(".notdef") and isinstance(record.args, tuple):
            self.characters.add(str(record.args[0]))


def render_pdf(html: str, *, templates: Templates | None = None) -> bytes:
    """Bytes of ``render_pdf_document``."""
    return render_pdf_document(html, templates=templates).content


def render_pdf_document(html: str, *, templates: Templates | None = None, style: str | None = None) -> PdfDocument:
    """PDF/UA-1 of ``html``. Equal ``html``, templates, fonts and library versions give equal bytes in any process.

    ``style`` names a style sheet that the document does not link to, because it is parsed once for many documents.
    Raises ForbiddenAddressError when the document names an address outside the shipped or overriding assets.
    """
    chosen = templates or Templates()
    shared = _style(chosen, chosen.read_text(style), threading.get_ident()) if style else None
    missing = _MissingGlyphs()
    LOGGER.addHandler(missing)
    try:
        options = {"pdf_variant": "pdf/ua-1", "pdf_identifier": hashlib.sha256(html.encode()).digest()[:16]}
        document = HTML(string=html, url_fetcher=AssetFetcher(chosen), media_type="print").render(
            stylesheets=[shared.sheet] if shared else None,
            font_config=shared.fonts if shared else FontConfiguration(),
            **options,
        )
        content = document.write_pdf(**options)
    finally:
        LOGGER.removeHandler(missing)
    if not isinstance(content, bytes):  # only a None target returns bytes
        raise TypeError("weasyprint returned no bytes")
    return PdfDocument(content, tuple(sorted(missing.characters)), pages_count=len(document.pages))


@dataclass(frozen=True)
class _Style:
    sheet: CSS
    fonts: FontConfiguration


@lru_cache(maxsize=8)
def _style(templates: Templates, content: str, thread: int) -> _Style:  # noqa: ARG001  # fonts are not shared by threads
    """A parsed style sheet with its fonts; of the same content for the same thread it is parsed once."""
    fonts = FontConfiguration()
    sheet = CSS(string=content, font_config=fonts, media_type="print", url_fetcher=AssetFetcher(templates))
    return _Style(sheet, fonts)
