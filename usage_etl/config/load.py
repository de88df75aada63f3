"""Reads the settings file strictly: no duplicate keys, no aliases, no silent typing, all faults at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from usage_etl.config.base import SecretRef
from usage_etl.config.settings import Settings, SourceSettings, settings_model
from usage_etl.errors import ConfigError, MissingCredentialsError

CONFIG_VARIABLE = "USAGE_ETL_CONFIG"
DEFAULT_FILE = "usage_etl.yaml"


class _StrictLoader(yaml.SafeLoader):
    """YAML with every scalar kept as text (the schema gives types), duplicate keys and aliases refused."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the YAML stubs leave it untyped
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key_node.value!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def config_path(environment: Mapping[str, str] | None = None) -> Path:
    """Where the settings file is: ``$USAGE_ETL_CONFIG``, else ``usage_etl.yaml`` in the current folder."""
    return Path((os.environ if environment is None else environment).get(CONFIG_VARIABLE) or DEFAULT_FILE)


def load_settings(path: Path | str | None = None, *, kinds: Sequence[type[SourceSettings]]) -> Settings:
    """Settings from a YAML file, whose sources may be of ``kinds``.

    Raises ConfigError naming file, key and allowed values, all faults at once.
    """
    file = Path(path) if path is not None else config_path()
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "write one with `usage-etl init`, or point USAGE_ETL_CONFIG at yours"
        raise ConfigError(str(file), [f"cannot be read ({error}); {hint}"]) from error
    try:
        document = yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader subclass
    except yaml.YAMLError as error:
        raise ConfigError(str(file), [f"not valid YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(document, dict):
        raise ConfigError(str(file), ["must be a mapping with the keys version, organization, start_date, sources"])
    return parse_settings(document, base_path=file.resolve().parent, origin=str(file), kinds=kinds)


def parse_settings(
    document: Mapping[str, Any], *, base_path: Path, kinds: Sequence[type[SourceSettings]], origin: str = "settings"
) -> Settings:
    """Settings from an already read mapping. Raises ConfigError."""
    model = settings_model(kinds)
    try:
        return model.model_validate({**document, "base_path": base_path})
    except ValidationError as error:
        faults = error.errors()
        raise ConfigError(origin, [_problem(fault, model) for fault in faults if not _follows(fault, faults)]) from error


def _follows(fault: Any, faults: Sequence[Any]) -> bool:
    """Whether a list is called too short only because the items it has are at fault."""
    where = fault["loc"]
    return fault["type"] == "too_short" and any(
        len(other["loc"]) > len(where) and other["loc"][: len(where)] == where for other in faults
    )


def _problem(fault: Any, model: type[Settings]) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; known here are {', '.join(_keys_beside(fault['loc'], model))}"
    found = "" if isinstance(fault.get("input"), dict | list | None) else f" (found {fault['input']!r})"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{found}"


def _keys_beside(where: Sequence[str | int], model: type[Settings]) -> list[str]:
    """Keys that may stand where an unknown one was found."""
    models: list[type[BaseModel]] = [model]
    for part in where[:-1]:
        fields = [model.model_fields[part].annotation for model in models if part in model.model_fields]
        if fields:
            models = [model for field in fields for model in _models_in(field)]
        elif isinstance(part, str):  # the kind of a source, by which Pydantic names the member of the union
            models = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
    return sorted({name for model in models for name, field in model.model_fields.items() if not field.exclude})


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def secret_refs(settings: BaseModel, where: str = "") -> Iterator[tuple[str, SecretRef]]:
    """Every secret the settings refer to, with the key that refers to it."""
    for name in type(settings).model_fields:
        yield from _refs(getattr(settings, name), f"{where}.{name}".lstrip("."))


def _refs(found: Any, where: str) -> Iterator[tuple[str, SecretRef]]:
    if isinstance(found, SecretRef):
        yield where, found
    elif isinstance(found, BaseModel):
        yield from secret_refs(found, where)
    elif isinstance(found, tuple):
        for index, item in enumerate(found):
            yield from _refs(item, f"{where}.{index}")


def require_secrets(settings: Settings, environment: Mapping[str, str] | None = None) -> None:
    """Raises MissingCredentialsError naming every unset secret at once."""
    known = os.environ if environment is None else environment
    missing = [
        f"{where}: environment variable {ref.env} is not set" for where, ref in secret_refs(settings) if not known.get(ref.env)
    ]
    if missing:
        raise MissingCredentialsError("secrets", missing)


def read_secret(ref: SecretRef, environment: Mapping[str, str] | None = None) -> str:
    """The secret's text. Raises MissingCredentialsError."""
    secret = (os.environ if environment is None else environment).get(ref.env)
    if not secret:
        raise MissingCredentialsError("secrets", [f"environment variable {ref.env} is not set"])
    return secret
