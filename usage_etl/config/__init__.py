"""Settings: one YAML file, frozen and validated; secrets by reference."""

from __future__ import annotations

from usage_etl.config.load import load_settings, parse_settings, read_secret, require_secrets
from usage_etl.config.settings import Settings, SourceSettings

__all__ = ["Settings", "SourceSettings", "load_settings", "parse_settings", "read_secret", "require_secrets"]
