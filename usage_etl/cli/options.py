"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usage_etl.config.load import CONFIG_VARIABLE, DEFAULT_FILE

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="Settings file.", show_default=DEFAULT_FILE)
]
DEFAULT_CONFIG = Path(DEFAULT_FILE)
