"""Rates, late data, silences, digests and caps."""

import datetime as dt

from tests.unit.alerts.samples import NOW, Remembering, errors, rate_rule, rule, silence, told, used
from usage_etl.alerts import Policy

HOUR = dt.timedelta(hours=1)


def test_a_rate_fires_after_days_in_a_row_and_clears_after_days_in_a_row():
    book = Remembering(rate_rule())
    days = [6, 4, 6, 7, 4, 4.8, 4, 4, 6]
    assert [book.told(errors(percent, day)) for day, percent in enumerate(days, 1)] == [
        [], [], [], ["fired 5"], [], [], [], ["resolved"], [],
    ]  # fmt: skip
    assert book.told(errors(9, 10)) == ["fired 5"], "another episode"


def test_looking_twice_at_one_day_counts_once_and_with_what_it_says_last():
    book = Remembering(rate_rule())
    assert [book.told(errors(percent, 1)) for percent in (9, 9, 9)] == [[], [], []]
    assert book.told(errors(1, 1)) == []
    assert book.told(errors(9, 2)) == []
    assert book.told(errors(9, 3)) == ["fired 5"]


def test_a_day_that_is_not_known_neither_counts_nor_breaks_a_row():
    book = Remembering(rate_rule())
    assert [book.told(row) for row in (errors(9, 1), errors(None, 2), errors(9, 3))] == [[], [], ["fired 5"]]


def test_older_data_than_was_looked_at_decides_nothing():
    book = Remembering(rate_rule())
    for day in (4, 5):
        book.look(errors(9, day))
    assert [book.told(errors(0, day)) for day in (3, 2)] == [[], []]


def test_a_higher_level_is_told_on_the_way_up_and_only_the_end_is_told_on_the_way_down():
    book = Remembering(rate_rule())
    shown = [book.told(errors(percent, day)) for day, percent in enumerate([6, 6, 25, 25, 10, 10, 25, 25, 1, 1], 1)]
    assert shown == [[], ["fired 5"], [], ["fired 20"], [], [], [], ["fired 20"], [], ["resolved"]]


def test_below_is_the_mirror_of_above():
    book = Remembering(rate_rule(measure="cache_read_ratio", levels=("40", "20"), fire_after=1, clear_after=1))
    shown = [
        book.told(errors(percent, day, measure="cache_read_ratio")) for day, percent in enumerate([41, 40, 15, 42.1, 42.2], 1)
    ]
    assert shown == [[], ["fired 40"], ["fired 20"], [], ["resolved"]]


def test_late_data_is_told_once_freezes_everything_and_is_resolved_once():
    book = Remembering(rule())
    assert book.told(used(50)) == ["fired 50"]
    (notice,) = book.look(used(0, is_stale=True), used(90, scope="team-b", is_stale=True), used(10, scope="team-c"))
    assert (notice.action, notice.severity) == ("no_data", "warning")
    assert notice.title == "Data late: rule quota is frozen for 2 teams"
    assert "nothing is decided for Team-A, Team-B" in notice.lines[0]
    assert book.told(used(0, is_stale=True)) == []
    assert book.told(used(51), used(90, scope="team-b")) == ["fired 80", "resolved"]
    assert book.told(used(51, is_stale=True)) == ["no_data"], "another episode"


def test_a_rule_that_comes_back_counts_its_days_anew_and_tells_again_that_data_is_late():
    book = Remembering(rate_rule())
    for day in (1, 2):
        book.look(errors(9, day), errors(None, day, scope="team-b", is_stale=True))
    rules, book.rules = book.rules, ()
    assert book.told(errors(9, 3)) == ["resolved", "resolved"], "the rate, and the late data"
    book.rules = rules
    assert book.told(errors(9, 3), errors(None, 3, scope="team-b", is_stale=True)) == ["no_data"]
    assert book.told(errors(9, 4), errors(None, 4, scope="team-b", is_stale=True)) == ["fired 5"]


def test_a_silence_records_and_is_summed_up_when_it_ends():
    book = Remembering(rule(), silences=[silence(scope_ids=("team-a",))])
    assert book.told(used(50), used(50, scope="team-b")) == ["fired 50"], "of team-b"
    assert book.told(used(100), used(50, scope="team-b")) == []
    book.now = NOW + 9 * HOUR
    (summary,) = book.look(used(100), used(50, scope="team-b"))
    assert summary.title == "Silence ended: 2 muted, 2 fired"
    assert summary.lines[0] == "Silenced by Ada: migration"
    assert summary.severity == "critical"
    assert [told(member) for member in summary.members] == ["fired 100", "fired 50"]
    assert book.told(used(100)) == []


def test_a_silence_that_somebody_removed_is_summed_up_at_once():
    book = Remembering(rule(), silences=[silence()])
    book.look(used(85))
    book.silences.clear()
    (summary,) = book.look(used(85))
    assert summary.lines[0] == "The silence was removed."


def test_a_silence_is_for_its_rule_scope_and_time_alone():
    others = [{"rule": "x"}, {"scope_kind": "user"}, {"scope_ids": ("team-b",)}, {"starts_at": NOW + HOUR}, {"ends_at": NOW}]
    for number, changes in enumerate(others):
        book = Remembering(rule(), silences=[silence(silence_id=str(number), **changes)])
        assert book.told(used(85)) == ["fired 80"], changes


def test_one_evaluation_is_one_digest_and_what_is_critical_goes_at_once():
    book = Remembering(rule(channels=("mail", "chat")), policy=Policy())
    first = book.look(used(85), used(55, scope="team-b"), used(120, scope="team-c"))
    assert sorted((notice.channel, told(notice)) for notice in first) == [
        ("chat", "digest"), ("chat", "fired 100"), ("mail", "digest"), ("mail", "fired 100"),
    ]  # fmt: skip
    digest = next(notice for notice in first if notice.action == "digest")
    assert digest.title == "2 alerts, the first: Team-A: 85 % of the monthly quota of total tokens used"
    assert digest.lines == ("2 fired.",)
    assert [member.facts["level"] for member in digest.members] == ["80 %", "50 %"]
    assert {kept.disposition for kept in book.kept.values()} == {"grouped"}
    assert len(book.kept) == 4


def test_one_alone_is_no_digest():
    assert Remembering(rule(), policy=Policy()).told(used(85)) == ["fired 80"]


def test_above_the_cap_there_is_one_more_message_and_the_rest_waits_for_the_next_hour():
    book = Remembering(rule(levels=("100",)), policy=Policy(messages_per_hour=3))
    teams = [used(100, scope=f"team-{number}") for number in range(5)]
    shown = book.look(*teams)
    assert [told(notice) for notice in shown] == ["fired 100"] * 3 + ["digest"]
    assert shown[-1].title == "2 more: 2 fired"
    more = [used(100, scope=f"late-{number}") for number in range(2)]
    assert book.look(*teams, *more) == []
    assert book.look(*teams, *more) == []
    (waited,) = book.look(*teams, *more, later=HOUR)
    assert waited.title == "2 more: 2 fired"
    assert book.look(*teams, *more, later=HOUR) == []
    assert len(book.notices) + len([kept for kept in book.kept if kept in book.told_in]) == 5 + 4


def test_a_rule_without_channels_is_recorded_and_tells_nobody():
    book = Remembering(rule(channels=()))
    assert book.look(used(85)) == []
    assert len(book.crossings) == 2
    book.rules = (rule(channels=("mail",)),)
    assert book.told(used(100)) == ["fired 100"]
