"""Patterns of settings: whole texts, letter case aside, nothing but ``*`` special."""

import polars as pl
import pytest

from usage_etl.sources.rows.service_scope import matches_any


@pytest.mark.parametrize(
    ("text", "patterns", "fits"),
    [
        ("Vertex AI", ["vertex ai"], True),
        ("Vertex AI Search", ["vertex ai"], False),
        ("Google Vertex AI\nSearch", ["*vertex*"], True),
        ("a.b", ["a?b", "a.c"], False),
        ("a(b)[c]", ["a(b)[c]"], True),
        ("anything", ["All"], True),
        ("anything", [], False),
        ("", ["*"], True),
        (None, ["*"], False),
    ],
)
def test_a_text_fits_a_pattern_whole(text: str | None, patterns: list[str], fits: bool) -> None:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    assert frame.select(matches_any([pl.col("text")], patterns).alias("fits"))["fits"][0] is fits


def test_one_of_several_texts_is_enough() -> None:
    frame = pl.DataFrame({"a": ["x", None, "y"], "b": ["n", "x", "n"]})
    assert frame.select(matches_any([pl.col("a"), pl.col("b")], ["x"]))["a"].to_list() == [True, True, False]
