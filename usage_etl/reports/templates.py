"""Finds report templates, style sheets and fonts: the shipped ones, each replaceable by a file of the user's folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from usage_etl.reports.charts.metrics import fitted

_PACKAGE = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def shipped_folder() -> Path:
    """The shipped ``report_templates``: inside an installed wheel, or beside the package in a checkout."""
    for folder in (_PACKAGE / "_data" / "report_templates", _PACKAGE.parent / "report_templates"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("report_templates is missing from this installation; install usage-etl again")


@dataclass(frozen=True)
class Templates:
    """The shipped files; ``override`` is a folder whose files, of the same relative name, win."""

    override: Path | None = None

    def path(self, name: str) -> Path:
        """The file called ``name``. Raises FileNotFoundError; names cannot leave the folders."""
        if _NAME.fullmatch(name):
            for folder in self._folders():
                file = folder / name
                if file.is_file():
                    return file
        raise FileNotFoundError(f"report template {name!r} does not exist")

    def read_bytes(self, name: str) -> bytes:
        """Content of ``name``."""
        return self.path(name).read_bytes()

    def read_text(self, name: str) -> str:
        """Content of ``name`` as UTF-8."""
        return self.path(name).read_text(encoding="utf-8")

    def environment(self) -> ImmutableSandboxedEnvironment:
        """Jinja2 that escapes in every template, refuses unknown names and gives templates no way out.

        One environment for the same folders: templates are compiled once, and again when their files change.
        """
        return _environment(tuple(self._folders()))

    def _folders(self) -> list[Path]:
        return [*([self.override] if self.override else []), shipped_folder()]


@lru_cache(maxsize=8)
def _environment(folders: tuple[Path, ...]) -> ImmutableSandboxedEnvironment:
    loaders: list[BaseLoader] = [FileSystemLoader(folder) for folder in folders]
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["fitted"] = lambda text, size, limit: fitted(text, size=size, limit=limit)
    return environment
