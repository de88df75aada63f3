"""Documents made from a provider's published SDK types: every documented field filled, leaf by leaf to be changed."""

import copy
import datetime as dt
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from usage_etl.sources.reading.exact_json import JsonNumber

Path = tuple[str, ...]


def filled(model: type[BaseModel], *, seed: int = 0, member: int = 0) -> dict[str, Any]:
    """A document with every field of ``model``; another ``seed`` has another value wherever the type allows one.

    ``member`` picks among the models of a union.
    """
    return {name: _value(field.annotation, seed, member) for name, field in model.model_fields.items()}


def _value(kind: Any, seed: int, member: int) -> Any:
    origin, arguments = typing.get_origin(kind), [one for one in typing.get_args(kind) if one is not type(None)]
    if origin is typing.Annotated:
        return _value(arguments[0], seed, member)
    if origin is typing.Literal:
        return arguments[seed % len(arguments)]
    if origin in (typing.Union, types.UnionType):
        models = [one for one in arguments if isinstance(one, type) and issubclass(one, BaseModel)]
        chosen = models[member % len(models)] if models else next((one for one in arguments if one is not str), arguments[0])
        return _value(chosen, seed, member)
    if origin is list:
        return [_value(arguments[0], seed, member)]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return filled(kind, seed=seed, member=member)
    plain = {
        bool: seed % 2 == 1,
        int: JsonNumber(str(3 + seed)),
        float: JsonNumber(f"{1 + seed}.5"),
        str: f"text-{seed}",
        dt.datetime: f"2026-10-0{1 + seed}T00:00:00Z",
        object: f"text-{seed}",
    }
    return plain[kind]


def leaves(document: dict[str, Any], at: Path = ()) -> Iterator[Path]:
    """Where the values of a document stand."""
    for name, part in document.items():
        if isinstance(part, dict):
            yield from leaves(part, (*at, name))
        else:
            yield (*at, name)


def found(document: dict[str, Any], path: Path) -> Any:
    """The value at ``path``."""
    for name in path:
        document = document[name]
    return document


def replaced(document: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of ``document`` with another value at ``path``."""
    changed = copy.deepcopy(document)
    found(changed, path[:-1])[path[-1]] = value
    return changed
