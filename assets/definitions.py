"""The code location: assembly only. Dagster loads ``defs`` from here (workspace.yaml)."""

from assets.assembly import build_definitions
from usage_etl.config.load import config_path

defs = build_definitions(config_path())
