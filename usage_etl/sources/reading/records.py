"""Which fields of a JSON record are read, and how a record is flattened to text.

Every leaf is read as text and typed later in one place: a token count may come as ``12``, ``"12"`` or ``12.0``, and no
reader's own idea of a number may change it on the way. What is not among the fields is not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any

import polars as pl

from usage_etl.sources.reading.exact_json import JsonNumber, dumps

LIST_SEPARATOR = "\x1f"
"""Between the elements of a list once flattened; a control character that none of them holds."""

ELEMENTS = "*"
"""Step of a place from a list of objects to its objects."""

_Tree = dict[str, Any]
"""Name to the tree below it; None at a leaf."""


@dataclass(frozen=True)
class RecordShape:
    """The fields of one kind of record."""

    fields: Mapping[str, tuple[str, ...]]
    """Flat text column to the field's place in the record. No field's place is a part of another's.

    A place may lead through one list of objects by the step ``ELEMENTS``: the column then holds what its objects have there,
    joined by ``LIST_SEPARATOR``.
    """
    lists: frozenset[str] = frozenset()
    """Columns that hold a list of texts, flattened by ``LIST_SEPARATOR``. A text in place of a list becomes its element."""
    documents: frozenset[str] = frozenset()
    """Columns that hold an object, kept whole as JSON text."""
    opened: tuple[str, ...] = ()
    """Top-level objects that some versions of the writer send as JSON in text."""
    optional: tuple[tuple[str, ...], ...] = ()
    """Places below which a part of another type than ours counts as absent: bodies that each model writes as it likes."""
    exact: frozenset[str] = frozenset()
    """Columns whose numbers keep every digit that was sent: amounts that are booked. Others keep those of a float."""

    @cached_property
    def tree(self) -> _Tree:
        """The fields as they are nested in the record."""
        root: _Tree = {}
        for path in self.fields.values():
            node = root
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = None
        return root

    @cached_property
    def schema(self) -> pl.Schema:
        """Flattened records: every field as text, in the order of the tree."""
        return pl.Schema(dict.fromkeys(self._leaf_names(self.tree, ()), pl.String))

    @cached_property
    def json_types(self) -> Mapping[str, pl.Struct]:
        """JSON type of a record by form: ``object`` as it is, ``text`` where the opened objects are JSON in text."""
        forms = {"object": self._struct(self.tree, ())}
        return forms | ({"text": self._struct(self.tree | dict.fromkeys(self.opened), ())} if self.opened else {})

    @cached_property
    def opened_types(self) -> Mapping[str, pl.Struct]:
        """JSON type of each opened object."""
        return {name: self._struct(self.tree[name], (name,)) for name in self.opened}

    def flat_frame(self, records: pl.DataFrame) -> pl.DataFrame:
        """Records in the columns of ``json_types["object"]``, flattened to the columns of ``schema``, in order."""
        return pl.DataFrame(list(self._leaves(records, self.tree, ())))

    def flatten(self, record: Mapping[str, Any]) -> dict[str, str | None]:
        """One record, already read by Python's json, in the columns of ``schema``.

        Raises ValueError with a rule name when a part that must be an object is something else.
        """
        whole = {**record, **{name: _opened(record.get(name), name) for name in self.opened}}
        return {name: self._flat(whole, path, name) for name, path in self.fields.items()}

    def _flat(self, record: Any, path: tuple[str, ...], name: str) -> str | None:
        try:
            found = _find(record, path)
            if name in self.documents and isinstance(found, dict):
                return dumps(found)
            if isinstance(found, JsonNumber) and name not in self.exact:
                found = float(found)
            is_list = name in self.lists or ELEMENTS in path
            return _joined(found, name) if is_list else _text(found, name)
        except ValueError:
            if any(path[: len(place)] == place for place in self.optional):
                return None
            raise

    @cached_property
    def _names(self) -> Mapping[tuple[str, ...], str]:
        return {path: name for name, path in self.fields.items()}

    def _leaf_names(self, tree: _Tree, above: tuple[str, ...]) -> Iterator[str]:
        for name, inner in tree.items():
            if inner is None:
                yield self._names[*above, name]
            else:
                yield from self._leaf_names(inner, (*above, name))

    def _struct(self, tree: _Tree, above: tuple[str, ...]) -> pl.Struct:
        return pl.Struct({name: self._type(inner, (*above, name)) for name, inner in tree.items()})

    def _type(self, tree: _Tree | None, place: tuple[str, ...]) -> pl.DataType:
        if tree is None:
            return self._leaf_type(place)
        if ELEMENTS in tree:
            return pl.List(self._struct(tree[ELEMENTS], (*place, ELEMENTS)))
        return self._struct(tree, place)

    def _leaf_type(self, path: tuple[str, ...]) -> pl.DataType:
        return pl.List(pl.String) if self._names.get(path) in self.lists else pl.String()

    def _leaves(self, frame: pl.DataFrame, tree: _Tree, above: tuple[str, ...]) -> Iterator[pl.Series]:
        """Leaf by leaf in the order of the tree. Whole levels are unnested: far cheaper than reaching for single leaves."""
        for name, inner in tree.items():
            column = frame[name]
            if inner is not None and ELEMENTS in inner:
                yield from self._element_leaves(column, inner[ELEMENTS], (*above, name, ELEMENTS))
            elif inner is not None:
                yield from self._leaves(column.struct.unnest(), inner, (*above, name))
            else:
                flat_name = self._names[*above, name]
                flat = column.list.join(LIST_SEPARATOR) if flat_name in self.lists else column
                yield flat.alias(flat_name)

    def _element_leaves(self, lists: pl.Series, tree: _Tree, above: tuple[str, ...]) -> Iterator[pl.Series]:
        """Leaves of the objects in a list, joined row by row: most objects have none of them."""
        rows = pl.DataFrame({"row": pl.int_range(len(lists), eager=True), "element": lists}).explode("element")
        absent = pl.repeat(None, len(lists), dtype=pl.String, eager=True)
        for leaf in self._leaves(rows["element"].struct.unnest(), tree, above):
            empty = absent.alias(leaf.name)
            if leaf.null_count() == len(leaf):
                yield empty
                continue
            found = rows.select("row", leaf.alias("text")).filter(pl.col("text").is_not_null())
            if found["row"].n_unique() < found.height:
                found = found.group_by("row", maintain_order=True).agg(pl.col("text").str.join(LIST_SEPARATOR))
            yield empty.scatter(found["row"], found["text"])


def _opened(found: Any, name: str) -> Any:
    """A JSON object that may stand as JSON text."""
    if not isinstance(found, str):
        return found
    if found in ("", "None"):
        return None
    try:
        return json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}__not_json") from error


def _find(record: Any, path: tuple[str, ...]) -> Any:
    found = record
    for depth, name in enumerate(path):
        if found is None or found == "":
            return None
        if name == ELEMENTS:
            return _find_in_elements(found, path, depth)
        if not isinstance(found, dict):
            raise ValueError(f"{path[depth - 1]}__not_an_object")
        found = found.get(name)
    return found


def _find_in_elements(elements: Any, path: tuple[str, ...], depth: int) -> list[Any]:
    """What the objects of a list have at the rest of the path; elements of another type have nothing."""
    if not isinstance(elements, list):
        raise ValueError(f"{path[depth - 1]}__not_a_list")
    return [_find(element, path[depth + 1 :]) for element in elements if isinstance(element, dict)]


def _text(found: Any, name: str) -> str | None:
    if found is None or found == "":
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, dict | list):
        raise ValueError(f"{name}__not_a_scalar")
    if isinstance(found, str):
        return str(found).encode("utf-8", "replace").decode()
    return _digits(found) if isinstance(found, float) and isfinite(found) else repr(found)


def _digits(number: float) -> str:
    """Digits of a float as the fast reader spells them: ids are made of texts, and must not depend on how a line was read."""
    text = f"{Decimal(repr(number)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _joined(found: Any, name: str) -> str | None:
    if found is None or found == {}:
        return None
    elements = [found] if isinstance(found, str) else found
    if not isinstance(elements, list) or any(isinstance(element, dict | list) for element in elements):
        raise ValueError(f"{name}__not_a_list")
    return LIST_SEPARATOR.join(_text(element, name) or "" for element in elements if element is not None) or None
