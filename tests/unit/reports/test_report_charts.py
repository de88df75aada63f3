"""Charts: round axes, labels that do not touch, marks on their own bars, colours that everyone can tell apart."""

import itertools
import math
import re
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.reports.sample import Scenario, sample_report
from usage_etl.reports.charts import burn_up_chart, daily_bars, gauge_bar, meter, ranking_rows, sparkline
from usage_etl.reports.charts.metrics import fitted, lines_count, text_width
from usage_etl.reports.charts.scale import spread, ticks
from usage_etl.reports.charts.svg import COLORS, label, num
from usage_etl.reports.model import Bar, BarList, Figure, Gauge

SIZES = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)


@given(SIZES, SIZES)
def test_ticks_enclose_the_data_and_hold_zero(low, high):
    assume(high - low > 1e-6 or high == low == 0)
    steps = ticks(low, high)
    assert 2 <= len(steps) <= 8
    slack = (steps[-1] - steps[0]) * 1e-6
    assert steps[0] <= min(low, 0) + slack
    assert steps[-1] >= max(high, 0) - slack
    assert any(abs(step) <= slack for step in steps)
    gaps = [right - left for left, right in itertools.pairwise(steps)]
    assert max(gaps) - min(gaps) <= slack


@pytest.mark.parametrize(
    ("high", "expected"), [(1495, [0, 500, 1000, 1500]), (0, [0, 1]), (99, [0, 50, 100]), (0.03, [0, 0.01, 0.02, 0.03])]
)
def test_ticks_are_round(high, expected):
    assert ticks(0, high) == pytest.approx(expected)


@given(st.lists(st.floats(min_value=0, max_value=300), min_size=1, max_size=8))
def test_spread_labels_never_touch_where_there_is_room(wanted):
    placed = spread(wanted, gap=27, low=0, high=300)
    order = sorted(placed)
    assert all(right - left >= 27 - 1e-9 for left, right in itertools.pairwise(order))
    assert order[0] >= -1e-9
    assert order[-1] <= 300 + 1e-9
    assert [index for index, _ in sorted(enumerate(wanted), key=lambda pair: pair[1])] == [
        index for index, _ in sorted(enumerate(placed), key=lambda pair: pair[1])
    ]


@given(st.text(max_size=80), st.floats(min_value=5, max_value=300))
def test_fitted_text_fits(text, limit):
    cut = fitted(text, size=10, limit=limit)
    assert cut in (text, "…") or text_width(cut, size=10) <= limit + 1e-09


def test_lines_are_counted_as_they_wrap():
    assert lines_count("one two", size=10, limit=1000) == 1
    assert lines_count("one two three", size=10, limit=text_width("one two", size=10) + 0.1) == 2
    assert lines_count("x" * 100, size=10, limit=100) == math.ceil(text_width("x" * 100, size=10) / 100)


def test_coordinates_are_short_and_never_negative_zero():
    assert [num(value) for value in (1.0, 0.126, -0.0001, 100, -3.5)] == ["1", "0.13", "0", "100", "-3.5"]


def charts(report):
    return [
        daily_bars(report.daily, currency=report.currency, width=540, height=220),
        burn_up_chart(report.burn_up, currency=report.currency, width=320, height=200),
        *ranking_rows(report.teams, width=120, height=16),
        *[sparkline(card.trend, width=104, height=22, alt=card.label) for card in report.cards],
        *[gauge_bar(card.gauge, width=104, height=22) for card in report.cards if card.gauge],
        meter(0.6, elapsed=0.5, is_over=False, width=38, height=13, alt="60 %"),
    ]


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(),
        Scenario(is_priced=False),
        Scenario(teams=("</svg><script>", "a&b\"'"), providers=(("google", "<x>"),), spike_team=0),
    ],
)
def test_charts_are_well_formed_repeatable_and_have_an_alternative(scenario):
    report = sample_report(scenario)
    for first, second in zip(charts(report), charts(report), strict=True):
        assert first == second
        root = ET.fromstring(first)  # our own output
        assert root[0].tag.endswith("title")
        assert root[0].text
        assert "nan" not in first
        assert "inf" not in re.sub(r"<title>.*?</title>", "", first)


def test_the_mark_stands_over_its_own_day():
    report = sample_report()
    width, days = 540, len(report.daily.days)
    svg = daily_bars(report.daily, currency="USD", width=width, height=220)
    axis = re.search(r'<path d="M([\d.]+) [\d.]+L([\d.]+)', svg)
    left, right = float(axis[1]), float(axis[2])
    index = report.daily.days.index(Scenario().spike_days[0])
    dot = float(re.search(r'<circle cx="([\d.]+)"[^>]*class="f-bad"', svg)[1])
    assert dot == pytest.approx(left + (index + 0.5) * (right - left) / days, abs=0.02)
    assert report.daily.marks[0].text in svg


def test_every_anomalous_day_has_a_dot_and_labels_never_touch():
    days = tuple(Scenario().spike_days[0].replace(day=day) for day in (9, 11, 13, 16, 18))
    report = sample_report(Scenario(spike_days=days))
    for width in (300, 540, 960):
        svg = daily_bars(report.daily, currency="USD", width=width, height=220)
        assert len(re.findall(r'<circle[^>]*class="f-bad"', svg)) == len(report.daily.marks) == 5
        starts = [(float(x), text) for x, text in re.findall(r'<text x="([\d.]+)"[^>]*class="f-bad"[^>]*>([^<]*)<', svg)]
        spans = sorted((x, x + text_width(text, size=10, weight=600)) for x, text in starts)
        assert spans
        assert all(left[1] < right[0] for left, right in itertools.pairwise(spans))
        assert spans[-1][1] <= width + 2
        stems = [float(x) for x in re.findall(r'<path d="M([\d.]+) [\d.]+L\1 [^>]*class="s-bad"', svg)]
        assert len(stems) == len(spans)
        assert not [x for x in stems for start, end in spans if start < x < end]


def figure(amount):
    return Figure(value=Decimal(amount), text=f"${amount}")


def test_bars_of_credits_run_to_the_left_of_zero():
    bars = [Bar(name="a", cost=figure(cost), share=figure(0), previous_cost=None, is_member=True) for cost in ("30", "-10")]
    rows = ranking_rows(BarList(title="t", tick_note="", note="", bars=tuple(bars)), width=122, height=16)
    boxes = [re.findall(r'<rect x="([\d.]+)"[^>]* width="([\d.]+)"[^>]*class="f-accent"', row)[0] for row in rows]
    assert [float(number) for number in boxes[0]] == [30, 90]
    assert [float(number) for number in boxes[1]] == [0, 30]


def test_a_gauge_turns_red_beyond_the_budget():
    def gauge(limit):
        return gauge_bar(
            Gauge(spent_cost=Decimal(5), projected_cost=Decimal(9), limit_cost=Decimal(limit), alt="x"), width=100, height=20
        )

    assert 'class="f-bad"' in gauge(8)
    assert 'class="f-bad"' not in gauge(10)


def test_a_sparkline_breaks_where_a_day_is_unknown():
    assert sparkline([1, 2, None, 3, 4], width=60, height=15, alt="x").count('class="s-accent"') == 2
    assert "circle" not in sparkline([None, None], width=60, height=15, alt="x")


def test_text_in_charts_is_escaped():
    assert "&lt;b&gt;&amp;" in label(0, 0, "<b>&")


# Machado, Oliveira and Fernandes (2009), severity 1.0: what protan, deutan and tritan eyes make of linear RGB.
EYES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(color, eyes):
    linear = [((int(color[at : at + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for at in (1, 3, 5)]
    red, green, blue = (min(1, max(0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in eyes)
    sums = (
        (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047,
        0.2126729 * red + 0.7151522 * green + 0.0721750 * blue,
        (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883,
    )
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in sums)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_series_differ_for_every_eye(eyes):
    palette = [COLORS[f"s{index}"] for index in range(6)] + [COLORS["others"]]
    for one, other in itertools.combinations(palette, 2):
        assert math.dist(lab(one, EYES[eyes]), lab(other, EYES[eyes])) > 24, (one, other)
