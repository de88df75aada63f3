"""Session logs of coding agents: whose a session is, and which project it worked on.

The logs name neither: they hold the working folder, and the file lies in a folder that whoever collected it chose. What of
these says user and project is a setting.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, StringConstraints, field_validator, model_validator

from usage_etl.config import FolderSourceSettings

Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]

_SEPARATORS = "/\\"


class SessionLogSettings(FolderSourceSettings):
    """Session logs that a coding agent writes on its user's machine, collected in a folder or bucket."""

    pattern: str = "**/*.jsonl*"
    """Which files below ``location`` are read."""
    user_id: Text | None = None
    """User of all sessions of this source; null where the two patterns find it."""
    user_from_key: Text | None = None
    """Regular expression over the file's key below ``location``; its first group is the user, as in ``^([^/]+)/``."""
    user_from_folder: Text | None = None
    """Regular expression over the session's working folder, as in ``^/(?:home|Users)/([^/]+)``; used where the key says none."""
    project_from: Literal["folder", "path", "none"] = "folder"
    """What of the working folder is the project where ``projects`` names none. folder: its last name. path: all of it."""
    projects: Annotated[dict[Text, Text], Field(max_length=1000)] = {}  # noqa: RUF012 - pydantic copies it
    """Working folder to project; it holds for everything below too, and the longest one that fits counts."""

    @field_validator("user_from_key", "user_from_folder")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups < 1:
            raise ValueError("needs a group in brackets: what it finds is the user")
        return pattern

    @model_validator(mode="after")
    def _one_way_to_name_users(self) -> Self:
        if self.user_id is not None and (self.user_from_key or self.user_from_folder):
            raise ValueError("user_id names one user for all sessions; leave it out, or the patterns")
        return self


def with_owners(flat: pl.DataFrame, folder: str, settings: SessionLogSettings, origin_key: str) -> pl.DataFrame:
    """``flat`` with columns ``owner`` and ``project``, from its column ``folder`` and the file's key."""
    of_key = settings.user_id or _first_group(settings.user_from_key, origin_key)
    folders = flat[folder].unique().drop_nulls()
    known = pl.DataFrame(
        {
            folder: folders,
            "owner": [of_key or _first_group(settings.user_from_folder, text) for text in folders],
            "project": [_project(text, settings) for text in folders],
        },
        schema={folder: pl.String, "owner": pl.String, "project": pl.String},
    )
    joined = flat.join(known, on=folder, how="left", maintain_order="left")
    return joined.with_columns(pl.col("owner").fill_null(pl.lit(of_key, pl.String)))


def _first_group(pattern: str | None, text: str) -> str | None:
    found = re.search(pattern, text) if pattern else None
    return (found[1] or None) if found else None


def _project(folder: str, settings: SessionLogSettings) -> str | None:
    path = folder.rstrip(_SEPARATORS)
    above = [prefix for prefix in settings.projects if _is_within(path, prefix.rstrip(_SEPARATORS))]
    if above:
        return settings.projects[max(above, key=len)]
    if settings.project_from == "none":
        return None
    return (path if settings.project_from == "path" else re.split(r"[/\\]", path)[-1]) or None


def _is_within(path: str, prefix: str) -> bool:
    return path == prefix or (path.startswith(prefix) and path[len(prefix)] in _SEPARATORS)
