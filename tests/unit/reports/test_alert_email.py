"""The mail about an alert says what happened with its facts, in HTML and text alike, and lets nothing of it become markup."""

import re
from dataclasses import replace

import pytest

from tests.unit.delivery.notices import notice
from usage_etl.reports.alert_email import render_alert_email, sign_of

HOSTILE = "</p><script>alert(1)</script><img src=https://evil.example/x> & {{ 7*7 }}"


def render(told, **options):
    return render_alert_email(told, organization_name="Northwind", **options)


def shown(markup):
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|title)>.*?</\1>", "", markup, flags=re.DOTALL)).split())


def test_facts_and_sentences_stand_in_both_bodies():
    content = render(notice(), why="You asked for it.", link="https://reports.northwind.example/")
    assert content.subject == notice().title
    for text in (shown(content.html), " ".join(content.text.split())):
        for wanted in (*notice().lines, *notice().facts, *notice().facts.values(), "Critical", "You asked for it.", "08:00 UTC"):
            assert wanted in text, wanted
    assert content.html.count("https://reports.northwind.example/") == 1


@pytest.mark.parametrize(
    ("changes", "text", "tone"),
    [
        ({}, "Critical", "bad"),
        ({"severity": "warning"}, "Warning", "warn"),
        ({"severity": "info"}, "For information", "neutral"),
        ({"action": "resolved"}, "Resolved", "good"),
        ({"action": "corrected"}, "Corrected", "good"),
        ({"action": "no_data"}, "Data is late", "warn"),
        ({"action": "digest"}, "Digest", "bad"),
        ({"action": "digest", "members": (notice(), notice(2))}, "2 alerts", "bad"),
    ],
)
def test_sign_says_how_things_stand(changes, text, tone):
    sign = sign_of(replace(notice(), **changes))
    assert (sign.text, sign.tone) == (text, tone)


def test_digest_shows_each_alert_and_counts_the_rest():
    members = tuple(notice(number, title=f"Alert number {number}.") for number in range(60))
    content = render(notice(action="digest", lines=(), facts={}, members=members))
    for text in (shown(content.html), content.text):
        assert "Alert number 49." in text
        assert "Alert number 50." not in text
        assert "and 10 more" in text


def test_hostile_names_stay_text_and_nothing_is_fetched():
    told = notice(title=HOSTILE, lines=(HOSTILE,), facts={HOSTILE: HOSTILE}, members=(notice(2, title=HOSTILE),))
    content = render(told, link="javascript:alert(1)", why=HOSTILE)
    assert "<script" not in content.html
    assert "<img" not in content.html
    assert "javascript" not in content.html
    assert "49" not in shown(content.html)
    assert re.findall(r'(?:src|href)="', content.html) == []


def test_mail_is_small_enough_not_to_be_cut():
    members = tuple(notice(number, title="x" * 120) for number in range(50))
    assert len(render(notice(members=members)).html) < 60_000
