"""The kinds of sources that can be configured: every package beside this file that holds a ``SOURCE``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from usage_etl import sources
from usage_etl.config import SourceSettings
from usage_etl.sources.source import Source


def _found() -> Mapping[str, Source]:
    """Kind to source, in order of kind."""
    packages = sorted(module.name for module in pkgutil.iter_modules(sources.__path__) if module.ispkg)
    modules = [importlib.import_module(f"{sources.__name__}.{name}") for name in packages]
    return {module.SOURCE.kind: module.SOURCE for module in modules if hasattr(module, "SOURCE")}


SOURCES: Mapping[str, Source] = _found()
"""Kind, as in the settings file, to source."""

SOURCE_KINDS: tuple[type[SourceSettings], ...] = tuple(source.settings for source in SOURCES.values())
"""The settings of each kind, for reading the settings file."""
