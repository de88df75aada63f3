"""The delivery index on SQLite and PostgreSQL: order, fates, staleness."""

import datetime as dt
import threading

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usage_etl.errors import LakeError
from usage_etl.lake import CountedPart, DeliveryIndex, LandedDelivery, StagedDay
from usage_etl.schemas.state import metadata

USAGE, CHARGES = "staged_usage", "staged_charges"
DAYS = [dt.date(2026, 11, number) for number in range(1, 6)]


def register(index: DeliveryIndex, name: str, **more: object) -> LandedDelivery:
    landed = {
        "delivery_id": f"id-{name}",
        "source": "gateway",
        "kind": "litellm",
        "dataset": "spend_logs",
        "origin_key": name,
        "origin_version": "1",
        "landed_key": f"landing/{name}",
        "sha256": f"sha-{name}",
        "bytes_count": 10,
        "received_at": dt.datetime(2026, 11, 20, 13, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    } | more
    delivery = index.register(landed)
    assert delivery is not None
    return delivery


def part(day: dt.date, *, table: str = USAGE, sha256: str = "s", rows_count: int = 5) -> StagedDay:
    return StagedDay(table, day, f"staged/{table}/{day}/{sha256}", sha256, rows_count)


def counted(name: str, staged: StagedDay) -> CountedPart:
    return CountedPart(f"id-{name}", staged.staged_key, staged.sha256, staged.rows_count)


def stage(index: DeliveryIndex, name: str, *days: StagedDay, rows_read: int = 5) -> None:
    index.record_staged(f"id-{name}", days, rows_read=rows_read, rows_quarantined=1, parser_version="7")


def test_deliveries_come_back_in_order_with_instants_in_utc(index: DeliveryIndex) -> None:
    names = ["c", "a", "b"]
    for name in names:
        register(index, name)
    found = index.deliveries()
    assert [delivery.origin_key for delivery in found] == names
    assert [delivery.sequence for delivery in found] == [1, 2, 3]
    assert found[0].received_at == dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
    assert found[0].received_at.utcoffset() == dt.timedelta(0)
    assert index.deliveries("gateway") == found
    assert index.deliveries("other") == []
    assert index.delivery("id-a") == found[1]
    assert index.newest_arrivals(("landed", "staged")) == {"gateway": found[0].received_at}
    assert index.newest_arrivals(("held",)) == {}


def test_staging_moves_a_delivery_from_waiting_to_counted(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0], rows_count=3), part(DAYS[1], rows_count=4), rows_read=8)
    delivery = index.delivery("id-a")
    assert (delivery.status, delivery.rows_read_count, delivery.rows_staged_count) == ("staged", 8, 7)
    assert (delivery.rows_quarantined_count, delivery.parser_version) == (1, "7")
    assert index.pending() == []
    assert index.staged_days(USAGE, DAYS) == {
        day: [counted("a", part(day, rows_count=count))] for day, count in ((DAYS[0], 3), (DAYS[1], 4))
    }
    assert index.staged_days(CHARGES, DAYS) == {}
    assert index.staged_days(USAGE, []) == {}


def test_a_copy_landed_before_its_original_was_read_knows_the_count_afterwards(index: DeliveryIndex) -> None:
    register(index, "a", sha256="same")
    assert register(index, "b", sha256="same").rows_read_count is None
    register(index, "c", sha256="same", source="other")
    stage(index, "a", part(DAYS[0]), rows_read=8)
    assert [(item.status, item.rows_read_count) for item in index.deliveries()] == [
        ("staged", 8), ("duplicate", 8), ("landed", None)
    ]  # fmt: skip


def test_the_parts_of_a_day_are_in_order_of_arrival_not_of_staging(index: DeliveryIndex) -> None:
    for name in ("z", "a", "m"):
        register(index, name)
    for name in ("m", "z", "a"):
        stage(index, name, part(DAYS[0], sha256=name))
    assert [found.sha256 for found in index.staged_days(USAGE, DAYS)[DAYS[0]]] == ["z", "a", "m"]


def test_staging_again_replaces_the_delivery_s_own_parts(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]), part(DAYS[1]))
    stage(index, "a", part(DAYS[1], sha256="new"))
    assert index.staged_days(USAGE, DAYS) == {DAYS[1]: [counted("a", part(DAYS[1], sha256="new"))]}
    assert index.staged_objects() == {part(DAYS[1], sha256="new").staged_key: "new"}


def test_a_day_is_stale_until_it_is_built_from_what_is_staged(index: DeliveryIndex) -> None:
    assert index.stale_days(USAGE) == set()
    register(index, "a")
    assert index.stale_days(USAGE) == set(), "landed is not staged"
    stage(index, "a", part(DAYS[0]), part(DAYS[1]), part(DAYS[0], table=CHARGES))
    assert index.stale_days(USAGE) == {DAYS[0], DAYS[1]}
    assert index.stale_days(CHARGES) == {DAYS[0]}
    index.mark_built(USAGE, DAYS[0], index.staged_fingerprint(USAGE, DAYS[0]))
    assert index.stale_days(USAGE) == {DAYS[1]}
    assert index.stale_days(CHARGES) == {DAYS[0]}
    index.mark_built(USAGE, DAYS[1], index.staged_fingerprint(USAGE, DAYS[1]))
    assert index.stale_days(USAGE) == set()


def test_a_late_delivery_makes_exactly_its_days_stale(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", *(part(day) for day in DAYS))
    for day in DAYS:
        index.mark_built(USAGE, day, index.staged_fingerprint(USAGE, day))
    register(index, "late")
    stage(index, "late", part(DAYS[2], sha256="late"))
    assert index.stale_days(USAGE) == {DAYS[2]}


def test_a_delivery_staged_while_its_day_was_built_leaves_the_day_stale(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]))
    seen_by_the_build = index.staged_fingerprint(USAGE, DAYS[0])
    register(index, "b")
    stage(index, "b", part(DAYS[0], sha256="b"))
    index.mark_built(USAGE, DAYS[0], seen_by_the_build)
    assert index.stale_days(USAGE) == {DAYS[0]}


def test_a_day_whose_parts_disappeared_is_stale_and_an_empty_day_built_empty_is_not(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]), part(DAYS[1]))
    for day in DAYS[:3]:
        index.mark_built(USAGE, day, index.staged_fingerprint(USAGE, day))
    assert index.stale_days(USAGE) == set()
    stage(index, "a", part(DAYS[1]))
    assert index.stale_days(USAGE) == {DAYS[0]}


def test_restaging_the_same_content_makes_nothing_stale(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]))
    index.mark_built(USAGE, DAYS[0], index.staged_fingerprint(USAGE, DAYS[0]))
    stage(index, "a", part(DAYS[0]))
    assert index.stale_days(USAGE) == set()


def test_a_held_delivery_keeps_its_rows_out_until_it_is_released(index: DeliveryIndex) -> None:
    register(index, "a")
    index.record_held("id-a", "3 rows, the last one had 900", 3, [part(DAYS[0])], rows_quarantined=0, parser_version="7")
    held = index.delivery("id-a")
    assert (held.status, held.status_reason, held.rows_read_count) == ("held", "3 rows, the last one had 900", 3)
    assert index.pending() == []
    assert index.stale_days(USAGE) == set()
    assert index.staged_days(USAGE, DAYS) == {}
    released = index.release("id-a")
    assert (released.status, released.is_released) == ("staged", True)
    assert index.stale_days(USAGE) == {DAYS[0]}
    assert index.last_good_rows("gateway", "spend_logs", "a") == 3


@pytest.mark.parametrize("fate", ["held", "refused"])
def test_a_delivery_kept_out_before_staging_waits_again_once_released_and_is_known_as_released(
    index: DeliveryIndex, fate: str
) -> None:
    register(index, "a")
    record = index.record_held if fate == "held" else index.record_refused
    record("id-a", "why", 0)
    assert index.delivery("id-a").status == fate
    assert not index.delivery("id-a").is_released
    index.release("id-a")
    assert [(found.status, found.is_released) for found in index.pending()] == [("landed", True)]
    stage(index, "a", part(DAYS[0]))
    assert index.delivery("id-a").is_released, "it stays known that somebody let it through"


def test_holding_a_staged_delivery_takes_its_rows_out(index: DeliveryIndex) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]))
    index.mark_built(USAGE, DAYS[0], index.staged_fingerprint(USAGE, DAYS[0]))
    index.record_held("id-a", "asked by hand", 5, [part(DAYS[0])])
    assert index.stale_days(USAGE) == {DAYS[0]}


def test_only_what_is_held_or_refused_can_be_released(index: DeliveryIndex) -> None:
    register(index, "a")
    with pytest.raises(LakeError, match="is landed"):
        index.release("id-a")
    stage(index, "a")
    with pytest.raises(LakeError, match="is staged"):
        index.release("id-a")


def test_an_unknown_delivery_is_an_error(index: DeliveryIndex) -> None:
    for call in (
        lambda: stage(index, "nobody"),
        lambda: index.record_refused("id-nobody", "why", 0),
        lambda: index.record_held("id-nobody", "why", 0),
        lambda: index.release("id-nobody"),
        lambda: index.delivery("id-nobody"),
    ):
        with pytest.raises(LakeError, match="id-nobody"):
            call()


def test_staging_is_one_transaction(index: DeliveryIndex, state: sa.Engine) -> None:
    register(index, "a")
    stage(index, "a", part(DAYS[0]))
    with pytest.raises(sa.exc.IntegrityError):
        stage(index, "a", part(DAYS[1]), part(DAYS[1], sha256="twice the same day"), rows_read=99)
    assert index.staged_days(USAGE, DAYS) == {DAYS[0]: [counted("a", part(DAYS[0]))]}
    assert index.delivery("id-a").rows_read_count == 5


def test_the_last_good_row_count_is_of_the_same_origin_and_skips_what_was_kept_out(index: DeliveryIndex) -> None:
    assert index.last_good_rows("gateway", "spend_logs", "a") is None
    register(index, "a")
    assert index.last_good_rows("gateway", "spend_logs", "a") is None, "landed is not loaded"
    stage(index, "a", rows_read=900)
    register(index, "other")
    stage(index, "other", rows_read=5)
    register(index, "a-2", origin_key="a", origin_version="2")
    index.record_held("id-a-2", "short", 3)
    register(index, "a-3", origin_key="a", origin_version="3")
    index.record_refused("id-a-3", "unreadable", 0)
    assert index.last_good_rows("gateway", "spend_logs", "a") == 900
    register(index, "a-4", origin_key="a", origin_version="4")
    stage(index, "a-4", rows_read=950)
    assert index.last_good_rows("gateway", "spend_logs", "a") == 950
    assert index.last_good_rows("gateway", "costs", "a") is None


def test_sequence_numbers_are_given_once_to_landers_at_once(state: sa.Engine) -> None:
    errors: list[BaseException] = []

    def run(lander: int) -> None:
        try:
            own = DeliveryIndex(state)
            for number in range(8):
                register(own, f"{lander}-{number}")
        except BaseException as error:  # noqa: BLE001 - everything is a fault here
            errors.append(error)

    threads = [threading.Thread(target=run, args=(lander,)) for lander in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = DeliveryIndex(state).deliveries()
    assert [delivery.sequence for delivery in found] == list(range(1, 33))
    for lander in range(4):
        own = [delivery.origin_key for delivery in found if delivery.origin_key.startswith(f"{lander}-")]
        assert own == [f"{lander}-{number}" for number in range(8)], "each lander's own order is kept"


def test_builds_that_end_at_once_both_leave_their_mark(state: sa.Engine) -> None:
    errors: list[BaseException] = []

    def run(mark: str) -> None:
        try:
            for day in DAYS * 4:
                DeliveryIndex(state).mark_built(USAGE, day, mark)
        except BaseException as error:  # noqa: BLE001 - everything is a fault here
            errors.append(error)

    threads = [threading.Thread(target=run, args=(mark,)) for mark in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert DeliveryIndex(state).stale_days(USAGE) == set(DAYS)


def test_many_days_are_looked_up_in_pieces(index: DeliveryIndex) -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=number) for number in range(1200)]
    register(index, "a")
    stage(index, "a", *(part(day) for day in days))
    assert list(index.staged_days(USAGE, days)) == days


staging = st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from(DAYS), unique=True), st.sampled_from("xy"))
actions = st.lists(staging | st.sampled_from(DAYS) | st.sampled_from(["hold a", "hold b"]), max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=actions)
def test_stale_days_are_those_a_model_says(index: DeliveryIndex, state: sa.Engine, actions: list[object]) -> None:
    with state.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    counted: dict[str, dict[dt.date, str]] = {}
    built: dict[dt.date, dict[str, str]] = {}
    for name in "abc":
        register(index, name)

    def content(day: dt.date) -> dict[str, str]:
        return {name: days[day] for name, days in counted.items() if day in days}

    for action in actions:
        if isinstance(action, str):
            index.record_held(f"id-{action[-1]}", "by hand", 0)
            counted.pop(action[-1], None)
        elif isinstance(action, tuple):
            name, days, sha256 = action
            stage(index, name, *(part(day, sha256=sha256) for day in days))
            counted[name] = dict.fromkeys(days, sha256)
        else:
            index.mark_built(USAGE, action, index.staged_fingerprint(USAGE, action))
            built[action] = content(action)
    assert index.stale_days(USAGE) == {day for day in DAYS if built.get(day, {}) != content(day)}
    assert index.faults() == []
