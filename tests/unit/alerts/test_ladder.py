"""Figures that grow within a period: which crossing is told, and what happens when they fall."""

import datetime as dt
from decimal import Decimal

import pytest

from tests.unit.alerts.samples import MONTH, NOW, Remembering, rule, used

DAY = dt.timedelta(days=1)


def test_each_level_is_told_once_on_the_way_up():
    book = Remembering(rule())
    assert [book.told(used(percent)) for percent in (49, 50, 51, 80, 80, 99, 100, 140)] == [
        [], ["fired 50"], [], ["fired 80"], [], [], ["fired 100"], [],
    ]  # fmt: skip


def test_of_several_levels_at_once_the_highest_is_told_and_the_others_are_recorded():
    book = Remembering(rule())
    (notice,) = book.look(used(85))
    assert notice.facts["level"] == "80 %"
    assert "Passed at once with it: 50 %." in notice.lines
    assert {(crossing.level, crossing.told) for crossing in book.crossings.values()} == {("50", "passed"), ("80", "fired")}
    assert book.told(used(86)) == []


def test_a_level_is_met_at_its_very_value_and_not_a_digit_before():
    book = Remembering(rule(levels=("80",)))
    assert book.told(used(Decimal("79.999999999999999999"))) == []
    assert book.told(used(80)) == ["fired 80"]


def test_a_new_period_starts_clean_and_the_old_one_is_resolved_once_it_has_settled():
    book = Remembering(rule())
    assert book.told(used(85)) == ["fired 80"]
    december = {"period_start": dt.date(2026, 12, 1), "period_end": dt.date(2026, 12, 31), "watch_until": dt.date(2027, 1, 3)}
    book.now = dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
    assert book.told(used(85), used(55, **december)) == ["fired 50"], "November is settling, December is its own"
    assert book.told(used(101), used(55, **december)) == ["fired 100"], "late data of November"
    book.now = dt.datetime(2026, 12, 4, 12, tzinfo=dt.UTC)
    assert book.told(used(101), used(55, **december)) == ["resolved"]
    assert book.told(used(20), used(55, **december)) == []
    book.now = dt.datetime(2026, 12, 4, 13, tzinfo=dt.UTC)
    assert book.told(used(180), used(81, **december)) == ["fired 80"], "a settled period is never looked at again"


def test_a_fall_is_corrected_once_and_a_new_crossing_is_told_only_after_the_clear_line():
    book = Remembering(rule(levels=("80",)))
    assert book.told(used(85)) == ["fired 80"]
    (notice,) = book.look(used(78))
    assert notice.action == "corrected"
    assert "is 78 %, not above 80 %" in notice.title
    assert "A new crossing is told once it was clear of the level (below 76 %)." in notice.lines
    assert [book.told(used(percent)) for percent in (82, 77, 83, 76, 84)] == [[]] * 5, "down to the clear line nothing is told"
    assert book.told(used(Decimal("75.9"))) == []
    assert book.told(used(81)) == ["fired 80"]
    assert book.told(used(10)) == ["corrected 80"]


def test_one_fall_below_several_levels_is_one_correction_that_names_the_highest_and_what_still_stands():
    book = Remembering(rule(levels=("30", "50", "80", "100")))
    for percent in (30, 50, 80, 100):
        assert len(book.told(used(percent))) == 1
    (notice,) = book.look(used(40))
    assert (notice.action, notice.facts["level"]) == ("corrected", "100 %")
    assert "Still beyond 30 %." in notice.lines
    assert book.told(used(101)) == ["fired 100"]


def test_a_level_that_was_only_passed_is_not_corrected():
    book = Remembering(rule(levels=("50", "80")))
    assert book.told(used(85)) == ["fired 80"]
    assert book.told(used(60)) == ["corrected 80"]
    assert book.told(used(10)) == []


def test_a_raised_limit_is_a_fall_like_any_other():
    book = Remembering(rule())
    book.told(used(100))
    assert book.told(used(50)) == ["corrected 100"]


def test_the_projection_is_told_beside_the_ladder_and_below_the_limit():
    book = Remembering(rule())
    assert book.told(used(30, projected_percent=Decimal(120))) == ["fired projected"]
    assert book.told(used(50, projected_percent=Decimal(120))) == ["fired 50"]
    (notice,) = book.look(used(30, scope="team-b", projected_percent=Decimal(99)), used(85, projected_percent=Decimal(120)))
    assert notice.facts["level"] == "80 %"
    (notice,) = book.look(used(85, scope="team-b", projected_percent=Decimal(130)))
    assert notice.facts["level"] == "projected", "of 50, 80 and projected at once"
    assert "Passed at once with it: 50 %, 80 %." in notice.lines


def test_a_limit_that_is_passed_needs_no_projection():
    book = Remembering(rule())
    assert book.told(used(101, projected_percent=Decimal(300))) == ["fired 100"]
    assert book.told(used(102, projected_percent=Decimal(300))) == []
    other = Remembering(rule())
    assert other.told(used(101)) == ["fired 100"]
    assert other.told(used(102, projected_percent=Decimal(300))) == []


def test_a_projection_that_swings_between_the_lines_says_nothing():
    book = Remembering(rule(levels=("projected",)))
    swing = [book.told(used(30, projected_percent=Decimal(percent))) for percent in (101, 99, 101, 96, 100)]
    assert swing == [["fired projected"], [], [], [], []]
    assert book.told(used(30, projected_percent=Decimal(94))) == ["corrected projected"]
    assert book.told(used(30, projected_percent=Decimal(101))) == ["fired projected"]


def test_a_withdrawn_limit_is_corrected_and_its_return_is_told_again():
    book = Remembering(rule())
    covered = {("quota_used_ratio", MONTH[0])}
    assert book.told(used(85), covered=covered) == ["fired 80"]
    assert book.told() == [], "marts that were not read say nothing"
    assert book.told(covered={("quota_used_ratio", dt.date(2026, 12, 1))}) == []
    (notice,) = book.look(covered=covered)
    assert "no longer there" in notice.title
    assert book.told(covered=covered) == []
    assert book.told(used(85), covered=covered) == ["fired 80"]


def test_what_is_not_known_changes_nothing():
    book = Remembering(rule())
    book.told(used(85))
    assert book.told(used(None)) == []
    assert book.told(used(84)) == []


def test_a_changed_rule_resolves_its_old_alerts_and_begins_anew():
    book = Remembering(rule(levels=("80",)))
    assert book.told(used(85)) == ["fired 80"]
    book.rules = (rule(levels=("80", "90")),)
    assert sorted(book.told(used(85))) == ["fired 80", "resolved"]
    assert book.told(used(85)) == []


@pytest.mark.parametrize("change", [{"channels": ("mail", "chat")}, {"severity": {"80": "critical"}}, {"repeat": "daily"}])
def test_who_is_told_and_how_grave_it_is_does_not_make_another_rule(change):
    book = Remembering(rule(levels=("80",)))
    book.told(used(85))
    book.rules = (rule(levels=("80",), **change),)
    assert book.told(used(85)) == []


def test_a_rule_that_comes_back_in_the_period_does_not_tell_again_what_it_told():
    book = Remembering(rule(levels=("80", "100")))
    book.told(used(85))
    rules, book.rules = book.rules, ()
    assert book.told(used(85)) == ["resolved"]
    book.rules = rules
    assert book.told(used(85)) == []
    assert book.told(used(100)) == ["fired 100"]


def test_a_rule_is_in_force_only_on_its_days_and_for_its_organizations():
    tomorrow = NOW.date() + DAY
    late, other = rule(valid_from=tomorrow), rule(name="other", organizations=("globex",))
    book = Remembering(late, other)
    assert book.told(used(85)) == []
    book.now += DAY
    assert book.told(used(85)) == ["fired 80"]


def test_only_members_of_the_scope_and_limits_of_the_rule_are_watched():
    book = Remembering(rule(scope={"kind": "team", "ids": ("team-b",)}, limit_measures=("total_tokens",)))
    rows = [used(85), used(85, scope="team-b", limit_measure="effective_cost"), used(85, scope="team-b", scope_kind="user")]
    assert book.told(*rows) == []
    assert book.told(used(85, scope="team-b")) == ["fired 80"]


def test_a_hard_limit_is_critical_and_severities_are_those_of_the_rule():
    book = Remembering(rule(levels=("50", "80", "100"), severity={"50": "warning"}))
    assert [notice.severity for percent in (50, 80, 100) for notice in book.look(used(percent))] == [
        "warning",
        "warning",
        "critical",
    ]
    hard = Remembering(rule(levels=("100",), severity={"100": "info"}))
    assert [notice.severity for notice in hard.look(used(100, is_hard=True))] == ["critical"]


def test_the_top_level_is_told_daily_where_the_rule_says_so():
    book = Remembering(rule(levels=("80", "100"), repeat="daily"))
    assert book.told(used(85)) == ["fired 80"]
    assert book.told(used(85), later=DAY) == [], "only the highest level is repeated"
    assert book.told(used(100), later=DAY) == ["fired 100"]
    assert book.told(used(100)) == []
    (notice,) = book.look(used(105), later=DAY)
    assert notice.title.startswith("Still: ")
    assert book.told(used(105)) == []
    assert book.told(used(105, is_stale=True), later=DAY) == ["no_data"]
    assert book.told(used(90), later=DAY) == ["corrected 100", "resolved"]
    assert book.told(used(90), later=DAY) == []


def test_a_level_that_is_crossed_again_in_silence_is_told_by_the_daily_reminder():
    book = Remembering(rule(levels=("100",), repeat="daily"))
    assert [book.told(used(percent)) for percent in (100, 97, 101)] == [["fired 100"], ["corrected 100"], []]
    (notice,) = book.look(used(101), later=DAY)
    assert notice.title.startswith("Still: ")
    assert book.told(used(97), later=DAY) == [], "one correction for each crossing"
    assert book.told(used(97), later=DAY) == []


def test_a_settling_period_is_looked_at_up_to_its_last_day():
    book = Remembering(rule())
    book.look(used(85))
    book.now = dt.datetime(2026, 12, 3, 12, tzinfo=dt.UTC)
    assert book.told(used(100)) == ["fired 100"]
    assert book.told(used(100), later=DAY) == ["resolved"]


def test_names_from_outside_stay_on_one_line_and_short():
    hostile = "Ops\r\nBcc: evil@example.com\x00\u202e" + "x" * 300
    (notice,) = Remembering(rule()).look(used(85, scope_name=hostile))
    assert len(notice.title) <= 120
    assert all(text.isprintable() for text in (notice.title, *notice.lines, *notice.facts.values()))
