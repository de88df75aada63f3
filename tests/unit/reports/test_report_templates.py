"""Templates: found in checkout and wheel, replaceable one by one, escaped everywhere, with no way out."""

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from jinja2 import UndefinedError
from jinja2.exceptions import SecurityError, TemplateNotFound

from tests.unit.reports.sample import sample_report
from usage_etl.reports import templates as module
from usage_etl.reports.html import render_executive_html
from usage_etl.reports.templates import Templates, shipped_folder


def test_a_checkout_finds_them_beside_the_package():
    assert shipped_folder() == Path(module.__file__).parents[2] / "report_templates"


def test_an_installed_wheel_finds_them_inside_the_package(tmp_path, monkeypatch):
    inside = tmp_path / "usage_etl" / "_data" / "report_templates"
    inside.mkdir(parents=True)
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "usage_etl")
    assert shipped_folder() == inside


def test_an_installation_without_them_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "nowhere" / "usage_etl")
    with pytest.raises(FileNotFoundError, match="install usage-etl again"):
        shipped_folder()


def test_one_file_of_the_user_wins_and_the_rest_stays(tmp_path):
    (tmp_path / "executive").mkdir()
    (tmp_path / "executive" / "page.html.j2").write_text("{{ report.organization_name }}: {{ report.headline }}")
    report = sample_report()
    assert render_executive_html(report, templates=Templates(tmp_path)) == f"{report.organization_name}: {report.headline}"
    assert Templates(tmp_path).read_bytes("fonts/OFL.txt") == Templates().read_bytes("fonts/OFL.txt")


@pytest.mark.parametrize(
    "name", ["../pyproject.toml", "/etc/hosts", "executive/../../pyproject.toml", "", ".", "executive", "a\x00b"]
)
def test_names_cannot_leave_the_folders(name):
    with pytest.raises(FileNotFoundError):
        Templates().path(name)


def environment_of(tmp_path, source):
    (tmp_path / "probe.j2").write_text(source)
    return Templates(tmp_path).environment().get_template("probe.j2")


@pytest.mark.parametrize("suffix", ["html.j2", "txt", "j2"])
def test_every_template_escapes(tmp_path, suffix):
    (tmp_path / f"probe.{suffix}").write_text("{{ name }}")
    assert Templates(tmp_path).environment().get_template(f"probe.{suffix}").render(name="<b>&") == "&lt;b&gt;&amp;"


def test_an_unknown_name_is_an_error(tmp_path):
    with pytest.raises(UndefinedError):
        environment_of(tmp_path, "{{ nothing.here }}").render()


def test_a_template_cannot_reach_python(tmp_path):
    with pytest.raises((SecurityError, UndefinedError)):
        environment_of(tmp_path, "{{ report.__class__.__mro__[1].__subclasses__() }}").render(report=sample_report())
    with pytest.raises(TemplateNotFound):
        environment_of(tmp_path, "{% include '../../../etc/hosts' %}").render()


@pytest.mark.parametrize("weight", [400, 600])
def test_fonts_cover_what_our_own_texts_use(weight):
    latin = TTFont(shipped_folder() / "fonts" / f"inter-latin-{weight}.ttf")
    extended = TTFont(shipped_folder() / "fonts" / f"inter-latin-ext-{weight}.ttf")
    ours = set(map(chr, range(0x20, 0x7F))) | set("\u2212\u00d7\u00b7\u2013\u2026\u00a0€£¥")
    assert not {char for char in ours if ord(char) not in latin.getBestCmap()}
    european = set("ĄąČčĎďĘęĚěĞğĐđŁłŃńŇňŐőŘřŚśŞşŠšŤťŮůŰűŹźŻżŽžȚț")
    assert not {char for char in european if ord(char) not in latin.getBestCmap() | extended.getBestCmap()}
    assert "tnum" in {record.FeatureTag for record in latin["GSUB"].table.FeatureList.FeatureRecord}
    assert latin["OS/2"].usWeightClass == weight


def test_the_font_licence_travels_with_the_fonts():
    assert "SIL OPEN FONT LICENSE" in Templates().read_text("fonts/OFL.txt")
