"""The PDF: locked down, tagged, its fonts inside, and the same bytes in every process."""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading

import pypdf
import pytest

from tests.unit.reports.sample import sample_report
from usage_etl.reports.email import render_email
from usage_etl.reports.html import render_executive_html, render_executive_print_html
from usage_etl.reports.pdf import ForbiddenAddressError, render_pdf, render_pdf_document
from usage_etl.reports.templates import Templates

SECRET = "canary-4711"


@pytest.fixture(scope="module")
def pdf():
    return render_pdf(render_executive_print_html(sample_report(), report_url="https://reports.example.com/2026-11/"))


@pytest.fixture(scope="module")
def web():
    """A server that counts who asks it for anything."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>x</title>{}</svg>'
PROBES = {
    "img": '<img src="{url}" alt="x">',
    "link attachment": '<link rel="attachment" href="{url}">',
    "a attachment": '<a rel="attachment" href="{url}">x</a>',
    "stylesheet": '<link rel="stylesheet" href="{url}">',
    "import": "<style>@import url({url});</style>",
    "css url": '<style>p {{ background: url("{url}"); }}</style><p>x',
    "font": "<style>@font-face {{ font-family: F; src: url({url}); }} p {{ font-family: F; }}</style><p>x",
    "content": "<style>p::before {{ content: url({url}); }}</style><p>x",
    "list image": "<style>li {{ list-style-image: url({url}); }}</style><ul><li>x</ul>",
    "object": '<object data="{url}"></object>',
    "embed": '<embed src="{url}">',
    "svg image": SVG.format('<image href="{url}" width="9" height="9"/>'),
    "svg use": SVG.format('<use href="{url}#a"/>'),
}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("scheme", ["file", "http", "app", "relative"])
def test_nothing_from_outside_is_read(probe, scheme, tmp_path, web):
    secret = tmp_path / "secret.css"
    secret.write_text(f"p {{ content: '{SECRET}' }}")
    address, requests = web
    url = {"file": secret.as_uri(), "http": f"{address}/{SECRET}", "app": "app:../pyproject.toml", "relative": "secret.css"}[
        scheme
    ]
    try:
        content = render_pdf("<!doctype html><html lang=en><title>t</title><body>" + PROBES[probe].format(url=url))
    except (ForbiddenAddressError, ValueError):  # ValueError: a relative address has nothing to be relative to
        content = b""
    assert requests == []
    assert SECRET.encode() not in content
    assert not content or not pypdf.PdfReader(io.BytesIO(content)).attachments


@pytest.mark.parametrize("probe", ["img", "link attachment", "stylesheet", "import", "css url", "font"])
def test_a_forbidden_address_stops_the_rendering(probe):
    with pytest.raises(ForbiddenAddressError, match="may not load"):
        render_pdf("<!doctype html><title>t</title><body>" + PROBES[probe].format(url="https://example.com/x"))


@pytest.mark.parametrize(
    "name", ["app:executive/print.html.j2", "app:fonts/OFL.txt", "app:../../etc/hosts.css", "app:/etc/hosts.css"]
)
def test_only_style_sheets_and_fonts_of_the_templates_are_served(name):
    with pytest.raises(ForbiddenAddressError):
        render_pdf(f'<!doctype html><title>t</title><link rel="stylesheet" href="{name}">')


def test_two_processes_with_other_hash_seeds_make_the_same_bytes(pdf):
    code = (
        "import hashlib; from tests.unit.reports.sample import sample_report; "
        "from usage_etl.reports.html import render_executive_html, render_executive_print_html; "
        "from usage_etl.reports.email import render_email; from usage_etl.reports.pdf import render_pdf; r = sample_report(); "
        "pdf = render_pdf(render_executive_print_html(r, report_url='https://reports.example.com/2026-11/')); "
        "print(*(hashlib.sha256(x).hexdigest() for x in "
        "(pdf, render_executive_html(r).encode(), render_email(r).html.encode(), r.model_dump_json().encode())))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Pacific/Kiritimati"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    report = sample_report()
    here = (pdf, render_executive_html(report).encode(), render_email(report).html.encode(), report.model_dump_json().encode())
    assert other == [hashlib.sha256(content).hexdigest() for content in here]


def test_the_file_is_tagged_titled_and_dated_by_its_data(pdf):
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert reader.metadata.title == "AI usage and cost, Northwind AI Systems, November 2026"
    assert reader.metadata.creation_date.isoformat() == "2026-11-19T00:00:00+00:00"


def test_figures_have_alternatives_and_the_team_table_has_headers(pdf):
    kinds, alternatives = structure(pypdf.PdfReader(io.BytesIO(pdf)).trailer["/Root"]["/StructTreeRoot"])
    assert kinds.count("/Table") == 3
    assert kinds.count("/TH") >= 10 + 15
    assert kinds.count("/Figure") == len(alternatives)
    assert all(alternatives)
    assert any("highest on 10" in text for text in alternatives)


def structure(node):
    """Kinds of all structure elements, and the alternative of each figure."""
    kinds, alternatives, waiting = [], [], [node]
    while waiting:
        current = waiting.pop().get_object()
        if isinstance(current, list):
            waiting += current
        elif isinstance(current, dict):
            kinds.append(current.get("/S"))
            if current.get("/S") == "/Figure":
                alternatives.append(str(current.get("/Alt", "")))
            waiting.append(current["/K"]) if "/K" in current else None
    return kinds, alternatives


def test_only_our_fonts_and_our_link_are_inside(pdf):
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    fonts = {
        font.get_object()["/BaseFont"].split("+")[1] for page in reader.pages for font in page["/Resources"]["/Font"].values()
    }
    assert fonts == {"Inter", "Inter-Semi-Bold"}
    links = [note.get_object()["/A"]["/URI"] for page in reader.pages for note in page.get("/Annots", [])]
    assert links == ["https://reports.example.com/2026-11/"]
    assert not reader.attachments
    assert len(pdf) < 100_000


def test_characters_without_a_font_are_reported():
    document = render_pdf_document("<!doctype html><html lang=en><title>t</title><p>plain \U0001fae9")
    assert document.missing_characters in {("\U0001fae9",), ()}
    private = render_pdf_document("<!doctype html><html lang=en><title>t</title><p>plain \U000f1234")
    assert private.missing_characters == ("\U000f1234",)
    assert render_pdf_document("<!doctype html><html lang=en><title>t</title><p>Łódź €").missing_characters == ()


def test_a_style_sheet_of_the_user_replaces_ours(tmp_path):
    (tmp_path / "executive").mkdir()
    (tmp_path / "executive" / "print.css").write_text("@page { size: 100mm 50mm } main { display: none }")
    content = render_pdf(render_executive_print_html(sample_report()), templates=Templates(tmp_path))
    assert round(float(pypdf.PdfReader(io.BytesIO(content)).pages[0].mediabox.width)) == 283
