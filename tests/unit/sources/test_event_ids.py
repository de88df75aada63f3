"""Events of files that name none: those alike are told apart by number, and the same rows have the same ids in every file."""

import polars as pl

from usage_etl.sources.rows.event_ids import EventIds


def ids_of(ids: EventIds, *texts: str | None) -> list[str]:
    frame = pl.DataFrame({"a": texts, "b": ["x"] * len(texts)}, schema={"a": pl.String, "b": pl.String})
    return ids.with_ids(frame, ["a", "b"])["own_id"].to_list()


def test_events_alike_are_numbered_over_chunks() -> None:
    ids = EventIds()
    first, second = ids_of(ids, "one", "two", "one"), ids_of(ids, "one", "three")
    assert first[2] == f"{first[0]}#2"
    assert second[0] == f"{first[0]}#3"
    assert len({*first, *second}) == 5


def test_the_same_rows_have_the_same_ids_however_they_are_cut() -> None:
    texts = ["one", None, "one", "", "two", "one"]
    parts = EventIds()
    assert [*ids_of(parts, *texts[:2]), *ids_of(parts, *texts[2:])] == ids_of(EventIds(), *texts)


def test_fields_do_not_run_into_each_other() -> None:
    pairs = pl.DataFrame({"a": ["ab", "a"], "b": ["c", "bc"]})
    assert EventIds().with_ids(pairs, ["a", "b"])["own_id"].n_unique() == 2


def test_a_log_remembers_its_last_chunks_only_and_a_file_all_of_them() -> None:
    log, file = EventIds(remembered_chunks=2), EventIds()
    for text in ("one", "two", "three"):
        ids_of(log, text)
        ids_of(file, text)
    assert not ids_of(log, "one")[0].endswith("#2")
    assert ids_of(file, "one")[0].endswith("#2")
