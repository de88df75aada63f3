"""Buckets in the delivery index: whose rows count, which days that makes stale, and that both stay exact."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.lake.test_lake_index import CHARGES, DAYS, USAGE, part, register
from usage_etl.lake import CountedPart, DeliveryIndex, LandedDelivery, StagedBucket, open_state, shrunk_bucket
from usage_etl.schemas.state import buckets, metadata

RECEIVED = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
OCTOBER, NOVEMBER = "export/2026-10", "export/2026-11"


def version(day: int) -> dt.datetime:
    """A run of the export on a day of November."""
    return dt.datetime(2026, 11, day, 3, tzinfo=dt.UTC)


def bucket(
    key: str, *days: dt.date, at: dt.datetime | None = None, table: str = CHARGES, rows: int = 5, within_day: bool = False
) -> StagedBucket:
    return StagedBucket(table, key, dict.fromkeys(days, rows), at, is_within_day=within_day)


def stage(index: DeliveryIndex, name: str, *staged: StagedBucket, loose: Mapping[dt.date, int] | None = None) -> LandedDelivery:
    """Stages a delivery of ``staged`` buckets, all of one table, and of ``loose`` rows outside of buckets."""
    rows = dict(loose or {})
    for found in staged:
        for day, count in found.rows_by_day.items():
            rows[day] = rows.get(day, 0) + count
    table = staged[0].table_name if staged else USAGE
    days = [part(day, table=table, sha256=f"{name}-{day}", rows_count=count) for day, count in rows.items()]
    total = sum(rows.values())
    return index.record_staged(f"id-{name}", days, staged_buckets=staged, rows_read=total, rows_quarantined=0, parser_version="7")


def build(index: DeliveryIndex, table: str = CHARGES) -> None:
    """Marks every stale day as built."""
    for day in index.stale_days(table):
        index.mark_built(table, day, index.staged_fingerprint(table, day))
    assert index.stale_days(table) == set()


def counted(index: DeliveryIndex, day: dt.date, table: str = CHARGES) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Delivery to its rows that count on a day and its buckets that do not."""
    parts = index.staged_days(table, [day]).get(day, [])
    return {found.delivery_id[3:]: (found.rows_count, found.lost_buckets) for found in parts}


def test_a_correction_of_last_month_in_this_month_s_export_leaves_the_other_bucket_of_the_day_alone(
    index: DeliveryIndex,
) -> None:
    for name in ("october", "november", "november-2"):
        register(index, name)
    stage(index, "october", bucket(OCTOBER, *DAYS[:2]))
    stage(index, "november", bucket(NOVEMBER, DAYS[1], DAYS[2]))
    assert counted(index, DAYS[1]) == {"october": (5, ()), "november": (5, ())}
    build(index)
    stage(index, "november-2", bucket(NOVEMBER, DAYS[2], rows=7))
    assert index.stale_days(CHARGES) == {DAYS[1], DAYS[2]}, "also the day that lost its rows"
    assert counted(index, DAYS[1]) == {"october": (5, ())}
    assert counted(index, DAYS[2]) == {"november-2": (7, ())}
    assert index.delivery("id-november").status == "superseded"


def test_an_object_that_counts_in_part_names_the_buckets_to_drop(index: DeliveryIndex) -> None:
    for name in ("both", "october"):
        register(index, name)
    stage(index, "both", bucket(OCTOBER, DAYS[0], rows=3), bucket(NOVEMBER, DAYS[0], rows=4))
    stage(index, "october", bucket(OCTOBER, DAYS[0], rows=2))
    assert counted(index, DAYS[0]) == {"both": (4, (OCTOBER,)), "october": (2, ())}
    assert index.delivery("id-both").status == "staged"
    assert [row[1:] for row in index.staged_rows()] == [
        ("id-both", CHARGES, DAYS[0], 7, 3),
        ("id-october", CHARGES, DAYS[0], 2, 0),
    ]


def test_an_older_run_that_arrives_late_changes_nothing_and_says_why(index: DeliveryIndex) -> None:
    for name in ("newer", "older"):
        register(index, name)
    stage(index, "newer", bucket(OCTOBER, DAYS[0], at=version(5)))
    build(index)
    fate = stage(index, "older", bucket(OCTOBER, *DAYS, at=version(4)))
    assert (fate.status, fate.status_reason) == ("superseded", "superseded by delivery id-newer")
    assert index.stale_days(CHARGES) == set()
    assert counted(index, DAYS[0]) == {"newer": (5, ())}
    assert counted(index, DAYS[1]) == {}


def test_a_bucket_that_its_winner_holds_empty_is_empty(index: DeliveryIndex) -> None:
    for name in ("filled", "emptied", "filled-again"):
        register(index, name)
    stage(index, "filled", bucket(OCTOBER, *DAYS[:3]))
    build(index)
    assert stage(index, "emptied", bucket(OCTOBER)).status == "staged", "it counts, with no rows"
    assert index.stale_days(CHARGES) == set(DAYS[:3])
    assert all(counted(index, day) == {} for day in DAYS)
    build(index)
    stage(index, "filled-again", bucket(OCTOBER, DAYS[4]))
    assert index.stale_days(CHARGES) == {DAYS[4]}


def test_emptying_a_bucket_does_not_touch_another_bucket_of_the_same_dataset_and_day(index: DeliveryIndex) -> None:
    for name in ("hours", "one-emptied"):
        register(index, name)
    stage(index, "hours", bucket("hour-1", DAYS[0], table=USAGE), bucket("hour-2", DAYS[0], table=USAGE))
    stage(index, "one-emptied", bucket("hour-1", table=USAGE))
    assert counted(index, DAYS[0], USAGE) == {"hours": (5, ("hour-1",))}


def test_days_of_long_ago_that_lose_their_rows_become_stale(index: DeliveryIndex) -> None:
    old = dt.date(2025, 9, 1)
    days = [old + dt.timedelta(days=number) for number in range(60)]
    for name in ("first", "second"):
        register(index, name)
    stage(index, "first", bucket(OCTOBER, *days))
    build(index)
    stage(index, "second", bucket(OCTOBER, *days[:1], rows=6))
    assert index.stale_days(CHARGES) == set(days)


def test_the_newest_version_wins_whatever_the_order_and_the_later_arrival_among_equals(index: DeliveryIndex) -> None:
    order = [3, 1, 3, 2]
    for number, day in enumerate(order):
        register(index, str(number))
        stage(index, str(number), bucket(OCTOBER, DAYS[0], at=version(day)))
    assert counted(index, DAYS[0]) == {"2": (5, ())}


def test_without_versions_the_last_to_arrive_wins_even_when_clocks_run_backwards(index: DeliveryIndex) -> None:
    for number in range(3):
        register(index, str(number), received_at=RECEIVED - dt.timedelta(days=number))
    for number in (2, 0, 1):
        stage(index, str(number), bucket(OCTOBER, DAYS[0]))
    assert counted(index, DAYS[0]) == {"2": (5, ())}


def test_a_delivery_without_a_version_is_as_old_as_its_arrival(index: DeliveryIndex) -> None:
    register(index, "saved by hand", received_at=RECEIVED)
    register(index, "older", received_at=RECEIVED + dt.timedelta(hours=1))
    register(index, "newer", received_at=RECEIVED + dt.timedelta(hours=2))
    stage(index, "saved by hand", bucket(OCTOBER, DAYS[0]))
    stage(index, "older", bucket(OCTOBER, DAYS[0], at=RECEIVED - dt.timedelta(hours=1)))
    assert counted(index, DAYS[0]) == {"saved by hand": (5, ())}
    stage(index, "newer", bucket(OCTOBER, DAYS[0], at=RECEIVED + dt.timedelta(hours=1)))
    assert counted(index, DAYS[0]) == {"newer": (5, ())}


def test_a_version_from_the_future_does_not_win_for_ever(index: DeliveryIndex) -> None:
    register(index, "mad", received_at=RECEIVED)
    register(index, "sane", received_at=RECEIVED + dt.timedelta(days=1))
    stage(index, "mad", bucket(OCTOBER, DAYS[0], at=dt.datetime(2099, 1, 1, tzinfo=dt.UTC)))
    stage(index, "sane", bucket(OCTOBER, DAYS[0], at=RECEIVED + dt.timedelta(hours=20)))
    assert counted(index, DAYS[0]) == {"sane": (5, ())}


def test_the_same_bytes_with_versions_of_their_own_are_a_duplicate_however_often_they_come(index: DeliveryIndex) -> None:
    register(index, "old", sha256="same", origin_key="bill")
    stage(index, "old", bucket(OCTOBER, DAYS[0], at=version(3)))
    register(index, "new", origin_key="bill", origin_version="2")
    stage(index, "new", bucket(OCTOBER, DAYS[1], at=version(4)))
    build(index)
    register(index, "replay", sha256="same", origin_key="bill", origin_version="3")
    fate = stage(index, "replay", bucket(OCTOBER, DAYS[0], at=version(3)))
    assert (fate.status, fate.status_reason) == ("duplicate", "same bytes as delivery id-old")
    assert register(index, "again", sha256="same", origin_key="bill", origin_version="4").status == "duplicate"
    assert index.stale_days(CHARGES) == set()
    assert counted(index, DAYS[1]) == {"new": (5, ())}


def test_old_bytes_undo_a_restatement_where_arrival_tells_or_their_version_is_newer(index: DeliveryIndex) -> None:
    for name, sha256 in (("first", "x"), ("second", "y"), ("undo", "x")):
        register(index, name, sha256=sha256, origin_key="bill", origin_version=name)
    stage(index, "first", bucket(OCTOBER, DAYS[0], rows=1))
    stage(index, "second", bucket(OCTOBER, DAYS[0], rows=2))
    build(index)
    assert stage(index, "undo", bucket(OCTOBER, DAYS[0], rows=1)).status == "staged"
    assert index.stale_days(CHARGES) == {DAYS[0]}
    assert counted(index, DAYS[0]) == {"undo": (1, ())}


def test_a_winner_that_is_taken_out_gives_its_buckets_back(index: DeliveryIndex) -> None:
    for name in ("first", "second"):
        register(index, name)
    stage(index, "first", bucket(OCTOBER, DAYS[0], DAYS[1]))
    stage(index, "second", bucket(OCTOBER, DAYS[0], rows=9))
    build(index)
    index.record_held("id-second", "asked by hand", 9, [part(DAYS[0], table=CHARGES)], staged_buckets=[bucket(OCTOBER, DAYS[0])])
    assert index.stale_days(CHARGES) == {DAYS[0], DAYS[1]}
    assert counted(index, DAYS[0]) == {"first": (5, ())}
    assert (index.delivery("id-first").status, index.delivery("id-first").status_reason) == ("staged", None)
    released = index.release("id-second")
    assert (released.status, released.is_released) == ("staged", True)
    assert counted(index, DAYS[0]) == {"second": (5, ())}
    assert counted(index, DAYS[1]) == {}
    index.record_refused("id-second", "unreadable by the new parser", 0)
    assert counted(index, DAYS[1]) == {"first": (5, ())}


def test_a_released_delivery_stays_released_while_it_is_superseded(index: DeliveryIndex) -> None:
    for name in ("first", "second"):
        register(index, name)
    index.record_held("id-first", "small", 5, [part(DAYS[0], table=CHARGES)], staged_buckets=[bucket(OCTOBER, DAYS[0])])
    index.release("id-first")
    stage(index, "second", bucket(OCTOBER, DAYS[0]))
    first = index.delivery("id-first")
    assert (first.status, first.is_released) == ("superseded", True)
    assert "superseded by delivery id-second" in str(first.status_reason)


def test_rows_outside_of_buckets_count_whatever_becomes_of_the_buckets(index: DeliveryIndex) -> None:
    for name in ("mixed", "newer"):
        register(index, name)
    stage(index, "mixed", bucket("b", DAYS[0], table=USAGE), loose={DAYS[0]: 2, DAYS[1]: 3})
    stage(index, "newer", bucket("b", table=USAGE))
    assert index.delivery("id-mixed").status == "staged"
    assert counted(index, DAYS[0], USAGE) == {"mixed": (2, ("b",))}
    assert counted(index, DAYS[1], USAGE) == {"mixed": (3, ())}


def test_buckets_of_other_sources_and_tables_are_other_buckets(index: DeliveryIndex) -> None:
    for name, source in (("a", "gateway"), ("b", "other"), ("c", "gateway")):
        register(index, name, source=source)
    stage(index, "a", bucket(OCTOBER, DAYS[0]))
    stage(index, "b", bucket(OCTOBER, DAYS[0]))
    stage(index, "c", bucket(OCTOBER, DAYS[0], table=USAGE))
    assert set(counted(index, DAYS[0])) == {"a", "b"}
    assert set(counted(index, DAYS[0], USAGE)) == {"c"}


def test_staging_again_forgets_the_buckets_that_are_not_covered_any_more(index: DeliveryIndex) -> None:
    for name in ("a", "b"):
        register(index, name)
    stage(index, "a", bucket(OCTOBER, DAYS[0]))
    stage(index, "b", bucket(OCTOBER, DAYS[1]), bucket(NOVEMBER, DAYS[2]))
    stage(index, "b", bucket(NOVEMBER, DAYS[2]))
    assert counted(index, DAYS[0]) == {"a": (5, ())}
    assert counted(index, DAYS[1]) == {}


def test_what_counts_of_a_bucket_is_told_for_comparison(index: DeliveryIndex) -> None:
    for name in ("a", "b", "c"):
        register(index, name)
    stage(index, "a", bucket(OCTOBER, *DAYS[:3], at=version(2)), bucket(NOVEMBER))
    found = index.bucket_versions("gateway", [(CHARGES, OCTOBER), (CHARGES, NOVEMBER), (CHARGES, "never"), (USAGE, OCTOBER)])
    assert {key: (item.delivery_id, item.rows_count, item.version_at) for key, item in found.items()} == {
        (CHARGES, OCTOBER): ("id-a", 15, version(2)),
        (CHARGES, NOVEMBER): ("id-a", 0, None),
    }
    later = index.delivery("id-b")

    def fault(*staged: StagedBucket, share: int = 50) -> str | None:
        return shrunk_bucket(later, staged, found, Decimal(share))

    assert fault(bucket(OCTOBER, DAYS[0], at=version(3), rows=8)) is None
    assert fault(bucket(OCTOBER, DAYS[0], at=version(3), rows=7)) == f"bucket {OCTOBER}: 7 row(s), the version that counts has 15"
    assert fault(bucket(NOVEMBER, *DAYS, rows=900), bucket(OCTOBER, at=version(3))) is not None, "another bucket hides nothing"
    assert fault(bucket(OCTOBER, at=version(3)), share=0) is None
    assert fault(bucket(OCTOBER, at=version(1))) is None, "it would not win"
    assert fault(bucket("never")) is None


def test_days_of_one_table_are_compared_together(index: DeliveryIndex) -> None:
    for name in ("a", "b"):
        register(index, name)
    stage(index, "a", bucket("day-1", DAYS[0], within_day=True), bucket("day-2", DAYS[1], within_day=True))
    found = index.bucket_versions("gateway", [(CHARGES, "day-1"), (CHARGES, "day-2")])
    again = [bucket("day-1", within_day=True), bucket("day-2", DAYS[1], within_day=True)]
    assert shrunk_bucket(index.delivery("id-b"), again, found, Decimal(50)) is None
    assert shrunk_bucket(index.delivery("id-b"), again, found, Decimal(51)) is not None
    assert shrunk_bucket(index.delivery("id-b"), again[:1], found, Decimal(50)) is not None


def test_a_fingerprint_that_was_changed_by_hand_is_named(index: DeliveryIndex, state: sa.Engine) -> None:
    register(index, "a")
    stage(index, "a", bucket(OCTOBER, DAYS[0]))
    assert index.faults() == []
    with state.begin() as connection:
        connection.execute(buckets.update().values(winner_sequence=None))
    assert index.faults() == [f"delivery index: {CHARGES} {DAYS[0]}: the fingerprint is not that of its parts"]


@dataclass
class Model:
    """What counts, worked out from nothing but the last word on each delivery."""

    deliveries: dict[int, tuple[str, dict[str, tuple[int | None, tuple[int, ...]]], tuple[int, ...]]] = field(
        default_factory=dict
    )
    """Sequence to fate, buckets (version and days) and days with rows outside of buckets."""

    def winner(self, key: str) -> int | None:
        claims = {
            number: covered[key][0] for number, (fate, covered, _) in self.deliveries.items() if fate == "in" and key in covered
        }
        if all(found is None for found in claims.values()):
            return max(claims, default=None)
        received = 20
        return max(claims, key=lambda number: (received if claims[number] is None else claims[number], number))

    def day(self, day: int) -> set[tuple[int, str]]:
        """Counted (delivery, bucket) pairs of a day."""
        pairs = set()
        for number, (fate, covered, loose) in self.deliveries.items():
            if fate == "in":
                pairs |= {(number, key) for key, (_, days) in covered.items() if day in days and self.winner(key) == number}
                pairs |= {(number, "")} if day in loose else set()
        return pairs


covers = st.dictionaries(
    st.sampled_from("AB"),
    st.tuples(st.none() | st.integers(1, 4), st.lists(st.integers(0, 2), unique=True, max_size=2).map(tuple)),
    max_size=2,
)
loose_days = st.lists(st.integers(0, 2), unique=True, max_size=1).map(tuple)
steps = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["in", "in", "in", "held", "refused", "build"]), covers, loose_days), max_size=14
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_stale_days_and_counted_parts_are_those_of_a_model(index: DeliveryIndex, state: sa.Engine, steps: list[object]) -> None:
    with state.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    model, built = Model(), {day: set() for day in range(3)}
    for number in range(1, 5):
        register(index, str(number))
    for number, fate, covered, loose in steps:
        if fate == "build":
            build(index, USAGE)
            built = {day: model.day(day) for day in range(3)}
            continue
        # The bytes stay those of the delivery: its objects have one hash a day, so only what counts can differ.
        name, staged = (
            str(number),
            [
                StagedBucket(USAGE, key, {DAYS[day]: 5 for day in days}, None if at is None else version(at))
                for key, (at, days) in covered.items()
            ],
        )
        if fate == "in":
            stage(index, name, *staged, loose={DAYS[day]: 2 for day in loose})
            model.deliveries[number] = ("in", covered, loose)
        elif fate == "held":
            index.record_held(f"id-{name}", "by hand", 0)
            model.deliveries[number] = ("out", {}, ())
        else:
            index.record_refused(f"id-{name}", "by hand", 0)
            model.deliveries[number] = ("out", {}, ())
        assert index.stale_days(USAGE) == {DAYS[day] for day in range(3) if model.day(day) != built[day]}
    assert index.faults() == []
    for day in range(3):
        rows: dict[str, int] = {}
        for number, key in model.day(day):
            rows[f"id-{number}"] = rows.get(f"id-{number}", 0) + (5 if key else 2)
        assert {found.delivery_id: found.rows_count for found in index.staged_days(USAGE, [DAYS[day]]).get(DAYS[day], [])} == rows


@pytest.mark.parametrize("status", ["staged", "superseded"])
def test_statuses_are_those_of_what_counts(index: DeliveryIndex, status: str) -> None:
    register(index, "a")
    register(index, "b")
    stage(index, "a", bucket(OCTOBER, DAYS[0]), bucket(NOVEMBER, DAYS[0]))
    stage(index, "b", bucket(OCTOBER, DAYS[0]), *([bucket(NOVEMBER)] if status == "superseded" else []))
    assert index.delivery("id-a").status == status
    assert isinstance(index.staged_days(CHARGES, DAYS)[DAYS[0]][0], CountedPart)


def test_no_question_of_a_run_walks_a_table_that_grows_with_deliveries(tmp_path: Path) -> None:
    """Statistics or none: each statement finds its rows by an index, so that it costs the same with millions of others."""
    engine = open_state(f"sqlite:///{tmp_path}/state.sqlite")
    index = DeliveryIndex(engine)
    growing: tuple[str, ...] = ()
    for number in range(100):
        register(index, f"{number}", origin_key=f"export-{number % 30}", origin_version=str(number))
        stage(index, f"{number}", *(bucket(f"b{number % 30}-{part}", *DAYS, at=version(1 + number % 20)) for part in range(3)))
    walked: dict[str, str] = {}

    def explain(connection: sa.Connection, _: object, statement: str, parameters: object, *__: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            names = [step[-1] for step in plan if step[-1].startswith("SCAN usage_etl_")]
            walked.update({name: statement for name in names if name.endswith(growing)})

    for analysed in (False, True):
        # With statistics it may know better than to use the index of buckets: nearly all of them have rows on the day.
        growing = ("bucket_days", "bucket_claims", "delivery_days", "deliveries", *([] if analysed else ["buckets"]))
        if analysed:
            with engine.begin() as connection:
                connection.execute(sa.text("ANALYZE"))
        sa.event.listen(engine, "before_cursor_execute", explain)
        register(index, f"one more {analysed}", origin_key="export-1", origin_version=f"new {analysed}")
        stage(index, f"one more {analysed}", *(bucket(f"b1-{part}", *DAYS, at=version(20)) for part in range(3)))
        index.day_inputs(CHARGES, DAYS[0])
        index.stale_days(CHARGES)
        index.bucket_versions("gateway", [(CHARGES, "b1-1")])
        index.restatements((DAYS[0], DAYS[-1]))
        index.members("gateway", "folder")
        sa.event.remove(engine, "before_cursor_execute", explain)
    engine.dispose()
    assert walked == {}
