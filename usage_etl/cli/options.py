"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usage_etl.config.load import CONFIG_VARIABLE, DEFAULT_FILE
from usage_etl.periods import Month

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar=CONFIG_VARIABLE, help="Settings file.", show_default=DEFAULT_FILE)
]
DEFAULT_CONFIG = Path(DEFAULT_FILE)


def month_of(text: str) -> Month:
    """A month as YYYY-MM, or by its first day. Raises BadParameter."""
    try:
        return Month.parse(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no month; write YYYY-MM") from error
