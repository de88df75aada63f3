"""The registry knows every kind that the settings accept."""

import inspect
import typing

from usage_etl.config.settings import SourceSettings
from usage_etl.sources.registry import SOURCES


def test_every_kind_of_the_settings_has_a_source() -> None:
    (union, *_) = typing.get_args(SourceSettings)
    kinds = {typing.get_args(settings.model_fields["kind"].annotation)[0] for settings in typing.get_args(union)}

    assert set(SOURCES) == kinds
    assert all(kind == source.kind for kind, source in SOURCES.items())


def test_sources_with_an_api_are_all_asked_in_the_same_way() -> None:
    asked = {kind: set(inspect.signature(source.fetch).parameters) for kind, source in SOURCES.items() if source.fetch}

    assert set(asked) == {"openai", "anthropic"}
    assert all({"settings", "api_key", "start_date", "known", "today", "pulled_at"} <= names for names in asked.values())


def test_every_source_names_its_parser_version_and_what_it_holds() -> None:
    for source in SOURCES.values():
        assert source.parser_version
        assert source.datasets
        assert source.quarantine_tables
        assert list(inspect.signature(source.parse).parameters) == ["path", "context"]
