"""Settings: one YAML file, frozen and validated; secrets by reference."""

from __future__ import annotations

from usage_etl.config.base import SecretRef, ZoneName
from usage_etl.config.load import load_settings, parse_settings, read_secret, require_secrets
from usage_etl.config.settings import (
    FolderSourceSettings,
    LogSourceSettings,
    Settings,
    SourceSettings,
    TagMapping,
)

__all__ = [
    "FolderSourceSettings",
    "LogSourceSettings",
    "SecretRef",
    "Settings",
    "SourceSettings",
    "TagMapping",
    "ZoneName",
    "load_settings",
    "parse_settings",
    "read_secret",
    "require_secrets",
]
