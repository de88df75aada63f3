"""Records without an id: equal ones are told apart by number, and the same rows have the same ids in every file."""

import polars as pl

from usage_etl.sources.content_ids import ContentIds


def frame(*texts: str | None) -> pl.DataFrame:
    return pl.DataFrame({"a": texts, "b": ["x"] * len(texts)}, schema={"a": pl.String, "b": pl.String})


def test_equal_records_are_numbered_over_blocks() -> None:
    ids = ContentIds(["a", "b"])
    first, second = ids.of(frame("one", "two", "one")).to_list(), ids.of(frame("one", "three")).to_list()
    assert first[2] == f"{first[0]}-2"
    assert second[0] == f"{first[0]}-3"
    assert len({*first, *second}) == 5


def test_the_same_rows_have_the_same_ids_however_they_are_cut() -> None:
    texts = ["one", None, "one", "", "two", "one"]
    whole = ContentIds(["a", "b"]).of(frame(*texts)).to_list()
    parts = ContentIds(["a", "b"])
    assert [*parts.of(frame(*texts[:2])), *parts.of(frame(*texts[2:]))] == whole


def test_fields_do_not_run_into_each_other_and_null_is_not_empty() -> None:
    pairs = pl.DataFrame({"a": ["ab", "a", None, ""], "b": ["c", "bc", "x", "x"]})
    assert ContentIds(["a", "b"]).of(pairs).n_unique() == 4


def test_a_log_remembers_its_last_blocks_only_and_a_file_all_of_them() -> None:
    log, file = ContentIds(["a"], remembered_blocks=2), ContentIds(["a"], remembered_blocks=None)
    for text in ("one", "two", "three"):
        log.of(frame(text))
        file.of(frame(text))
    assert not log.of(frame("one"))[0].endswith("-2")
    assert file.of(frame("one"))[0].endswith("-2")
