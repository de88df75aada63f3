"""Request tags to columns: which tag names the feature, which the investigation, which are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

import polars as pl

from usage_etl.config import TagMapping
from usage_etl.sources.reading.records import LIST_SEPARATOR

TAG_COLUMNS = {"tag_feature": pl.String, "tag_investigation": pl.String, "tag_set": pl.String, "tags_readable": pl.Boolean}

_ARRAY_OF_TEXT = '["'


def tag_columns(flat_tags: pl.Series, rules: TagMapping) -> pl.DataFrame:
    """One row per row of ``flat_tags`` with ``TAG_COLUMNS``. Each distinct combination is read once."""
    distinct = flat_tags.unique()
    read = pl.DataFrame([read_tags(text, rules) for text in distinct], schema=TAG_COLUMNS, orient="row")
    keyed = read.insert_column(0, distinct.alias("tags"))
    joined = flat_tags.alias("tags").to_frame().join(keyed, on="tags", how="left", nulls_equal=True, maintain_order="left")
    return joined.drop("tags")


@lru_cache(maxsize=65536)
def read_tags(flat: str | None, rules: TagMapping) -> tuple[str | None, str | None, str | None, bool]:
    """Feature, investigation, tag set and whether the tags could be read.

    ``flat`` holds tags joined by LIST_SEPARATOR, or a JSON array in text; a tag that only begins like one is a tag. The
    first tag with a prefix wins; kept tags become sorted ``key=value`` pairs, with ``%`` and ``,`` in them percent-encoded.
    """
    if not flat or flat in ("[]", "{}", "null", "None"):
        return None, None, None, True
    tags = flat.split(LIST_SEPARATOR)
    if flat.startswith("["):
        try:
            tags = [str(tag) for tag in json.loads(flat) if tag is not None]
        except (ValueError, RecursionError):
            if flat.startswith(_ARRAY_OF_TEXT):
                return None, None, None, False
    kept = {_pair(tag) for tag in tags if tag.startswith(rules.keep)}
    return _first(tags, rules.feature), _first(tags, rules.investigation), ",".join(sorted(kept)) or None, True


def tag_pairs(named: Mapping[str, str | None]) -> str | None:
    """A tag set of the tags that have a value: sorted ``key=value`` pairs, encoded as in ``read_tags``; null without any."""
    return ",".join(sorted(_pair(f"{name}:{found}") for name, found in named.items() if found)) or None


def tag_set(named: Mapping[str, pl.Expr]) -> pl.Expr:
    """The tag set of columns of text that are not null, encoded as in ``read_tags``; null where all are."""
    if not named:
        return pl.lit(None, pl.String)
    pairs = [
        pl.lit(f"{_encoded(name)}=") + _encoded_column(found) for name, found in sorted(named.items(), key=lambda pair: pair[0])
    ]
    joined = pl.concat_str(pairs, separator=",", ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def tag_object(named: Mapping[str, str | None]) -> str | None:
    """A JSON object, in order of name, of the tags that have a value; null without any."""
    kept = {name: found for name, found in sorted(named.items()) if found}
    return json.dumps(kept, ensure_ascii=False) if kept else None


def _first(tags: list[str], prefix: str) -> str | None:
    found = (tag.removeprefix(prefix).strip() for tag in tags if tag.startswith(prefix))
    return next((text for text in found if text), None)


def _pair(tag: str) -> str:
    return _encoded(tag).replace(":", "=", 1)


def _encoded(text: str) -> str:
    return text.replace("%", "%25").replace(",", "%2C")


def _encoded_column(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all("%", "%25", literal=True).str.replace_all(",", "%2C", literal=True)
