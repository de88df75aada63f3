"""Writes the reference pages from the declarations they describe: `make docs`. A test compares, so no page can go stale.

Run with ``--check`` to compare only: exit code 1 and the names of stale pages when anything differs.
"""

import datetime as dt
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import sqlalchemy as sa
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from usage_etl.cli.main import app
from usage_etl.config.alerts import AlertRule, AlertScope, AlertSilence
from usage_etl.config.base import SecretRef
from usage_etl.config.channels import CHANNEL_KINDS
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.finance_files import FINANCE_FILES
from usage_etl.config.settings import Settings
from usage_etl.schemas import TABLES
from usage_etl.schemas.alert_measures import ALERT_MEASURES, MEMBER_SCOPES
from usage_etl.schemas.contract import Table, allowed_values
from usage_etl.schemas.state import metadata as state_tables
from usage_etl.sources.registry import SOURCE_KINDS, SOURCES

DOCS = Path(__file__).parent
NOTICE = "<!-- Written by docs/generate.py from the declarations in the code; run `make docs`. Do not edit. -->"

TABLES_INTRODUCTION = """\
One name for one thing: a table's name is also its Dagster asset, its storage prefix and its heading here. All tables are
plain Parquet, one object per partition, at `<lake>/<table>/<partition column>=<value>/part.parquet`
(`<lake>/<table>/part.parquet` where there is no partition), so DuckDB, Polars, Spark or Athena read them with a glob.
Staged tables hold several objects a day, one for each delivery.

Money is `Decimal(38, 18)`, never a float, in the currency that the row names. Days are UTC days, instants are UTC. Text
that repeats is dictionary-encoded (`Categorical` below); other readers see plain strings."""

STATE_INTRODUCTION = """\
What is not a table of the lake lives in a relational database (`state.url`): SQLite by default, PostgreSQL in production.
It can be lost without losing data, but not without work: deliveries would be read again, and reports could be sent again."""

SETTINGS_INTRODUCTION = """\
One YAML file. It is found through the environment variable `USAGE_ETL_CONFIG`, else as `usage_etl.yaml` in the current
folder; `usage-etl init` writes one. An unknown key, a repeated key or a value of the wrong kind is an error that names the
file, the key and what is allowed; all faults are reported at once, with exit code 2.

Relative paths are relative to the file's own folder. A secret is never written into the file: `{env: NAME}` names the
environment variable that holds it. AWS credentials come from the usual AWS environment, profile or role."""

CHANNELS_INTRODUCTION = """\
`channels` is a list; `kind` decides which keys an entry has. [Set-up step by step](../channels.md)."""

COMMAND_LINE_INTRODUCTION = """\
The command `usage-etl`. Exit codes: 0 done; 1 something failed, and the message says what; 2 settings, directories or prices
cannot be used, a secret is missing, or the command was misspelt. `dagster` and `dagster-daemon` of the same environment run
schedules and the web interface: see [Deployment](../deployment.md)."""

SOURCES_INTRODUCTION = """\
The kinds of sources that can be configured. Each is one folder of code, and [adding one](../adding_a_source.md) touches nothing
else. "Tested on" says plainly whether recorded examples are real, from public fixtures, or rebuilt from documented types with
invented values. `usage-etl sources try KIND FILE` shows what a file of yours would become."""

ALERTS_INTRODUCTION = """\
What rules of `alerts.rules` can watch, and what they may say. [Alerts](../alerts.md) has the meaning, with examples; the keys
of the section `alerts` itself stand under [Settings](settings.md#alerts)."""

DIRECTORY_INTRODUCTION = """\
CSV files in the folder that the setting `directory` names: a header row, UTF-8, commas, dates as `YYYY-MM-DD`. A missing
file is an empty directory. Every row is valid from `valid_from` up to, not including, `valid_to`; an empty `valid_to` is
open. `usage-etl directory check` names all faults at once, by file, member and days; so does every run that reads them,
and then the directories that were read last stay in force.

A usage day is owned by the rows valid on that day. After a change that reaches back, run or backfill the days that should
follow it: days whose owners stay the same keep their bytes. `usage-etl directory diff NEW/` shows before that how much
money would move between which owners. What has no owner is `unallocated`, and shown.

## Who owns a request

The first of these that a directory knows on the day names the team: the user, the API key, the project, the investigation,
else the team that the log itself names, when `teams.csv` knows it. The column `owner_basis` says which it was. The team's row
names department and cost center, the department's row the business unit, whose row names the one above it.

## Shares

A user, an API key, a project or an investigation may belong to several teams at once, and a team to several departments or
cost centers: one row for each, with its percentage in `split_pct`. On every day the shares of one member add up to exactly
100; one row alone leaves `split_pct` empty. A third is written out as far as wanted, and the last row takes what is missing
(33.33, 33.33, 33.34). Money follows the shares, exactly. A row of usage shows the owner with the largest share (of equal
ones, the first by id), because a request cannot be cut.

## Days without a row

Between two rows of one member no day may be left out, because a hole is most often a slip of the pen. Who really belonged to
nobody for a while, such as a person who left and came back, gets a row to team `unallocated` for those days: then the next in
the order above is asked, and usage that nothing else owns is unallocated. A team without a place has department and cost
center `unallocated`, a feature without a product has the product `unallocated`, a department outside of every business unit
has an empty `business_unit_id`. `unallocated` takes a member wholly or not at all. Before a member's first row and after its
last one nothing is asked. Budgets, quotas and purchases may have holes: a limit of nothing is not the same as none.

## What must hold

- Rows of one member do not overlap, unless every one of them has a `split_pct` and names another owner.
- The shares of a member add up to 100 on every day.
- Between two rows of a member there is no day without a row, but for budgets, quotas and purchases.
- `valid_to` is after `valid_from`.
- Teams of users, API keys, projects and investigations are in `teams.csv` on every day of the row. So are departments of teams in
  `departments.csv` and cost centers of teams in `cost_centers.csv`, once those files have a row; business units of departments
  and parents of business units in `business_units.csv`.
- No business unit lies above itself.
- One thing has one name on one day: users, teams, departments, cost centers, products, in one file or in two.
- Nobody is called `unallocated` or `unexplained`.
- A quota of money names its currency, no other does; tokens and requests are whole numbers; nothing is below 0. One limit stands
  in `quotas.csv` or in `budgets.csv`, not in both on one day. A budget is a soft quota of `effective_cost` by calendar month.
- A pool serves one scope, and one kind of tokens of one scope comes from one pool on any day."""

FINANCE_INTRODUCTION = """\
CSV files in the folder that the setting `finance` names, in the same form. Missing files hold no rows. All faults are named at
once; then the rows that were read last stay in force. Amounts are plain numbers with a point, such as `1234.50` or `-20`.

- An invoice is what finance received, in whole minor units of its currency. Where invoices are registered for a provider's
  account, month and currency, their sum is what is allocated. An invoice number stands once. `billing_month` is `2026-10` or
  `2026-10-01`.
- A rate is above 0, between two currencies, one for each pair and day.
- Every owner has a dispute file of its own, `disputes/<owner>.csv`; a dispute's id stands once over all of them. An accepted or
  rejected dispute has a `resolved_date`, an open one has none. An `accepted_cost` belongs to an accepted dispute, has the sign
  of `disputed_cost`, and is no larger."""

GROUP_TITLES: Mapping[str, str] = {
    "1_land": "Landed and staged data, directories, prices",
    "2_facts": "Events and facts",
    "3_allocate": "Bills and their allocation",
    "4_insights": "Rollups and insights",
    "5_reports": "Reports",
}


def tables_page() -> str:
    """Every stored table, its grain and its columns, in the order of the data's way."""
    lines = [
        NOTICE,
        "# Tables",
        "",
        TABLES_INTRODUCTION,
        "",
        "| table | one row is | partition |",
        "|---|---|---|",
        *(f"| [{table.name}](#{table.name}) | {table.grain} | {_code(table.partition)} |" for table in TABLES),
    ]
    group = ""
    for table in TABLES:
        if table.group != group:
            group = table.group
            lines += ["", f"# {GROUP_TITLES[group]}"]
        lines += ["", *_table_section(table)]
    lines += ["", "# State", "", *_state_section()]
    return "\n".join(lines) + "\n"


def _table_section(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    yield f"One row is {table.grain}."
    if table.notes:
        yield ""
        yield table.notes.replace("``", "`")
    yield ""
    yield f"- Partition: {_code(table.partition)}. Sorted by {', '.join(map(_code, table.sort_by))}. Owner: {_code(table.owner)}."
    if table.control_totals:
        yield f"- Sums kept in every commit's manifest: {', '.join(map(_code, table.control_totals))}."
    yield ""
    yield "| column | type | null | unit | meaning | source term | sensitivity |"
    yield "|---|---|---|---|---|---|---|"
    for name, column in table.columns.items():
        extra = column.metadata or {}
        cells = (
            _code(name),
            _type_text(str(column.dtype)),
            "yes" if column.nullable else "",
            extra.get("unit", ""),
            _cell(column.description or "") + _allowed_values(column),
            _cell(extra.get("source", "")),
            extra.get("sensitivity", ""),
        )
        yield f"| {' | '.join(cells)} |"


def _type_text(dtype: str) -> str:
    if dtype.startswith("Decimal"):
        return "Decimal(38, 18)"
    return "Datetime(µs, UTC)" if dtype.startswith("Datetime") else dtype


def _allowed_values(column: Any) -> str:
    """What a column declared with ``one_of`` may hold, in words."""
    allowed = allowed_values(column)
    return f"; one of {', '.join(map(_code, allowed))}" if allowed else ""


def _state_section() -> Iterator[str]:
    yield STATE_INTRODUCTION
    for table in state_tables.sorted_tables:
        yield ""
        yield f"## {table.name}"
        yield ""
        yield "| column | type | null | meaning |"
        yield "|---|---|---|---|"
        for column in table.columns:
            cells = (_code(column.name), _sql_type(column), "yes" if column.nullable else "", _cell(column.comment or ""))
            yield f"| {' | '.join(cells)} |"


def _sql_type(column: sa.Column[Any]) -> str:
    return str(column.type).lower() + (", primary key" if column.primary_key else "")


def settings_page() -> str:
    """Every key of the settings file with its type, default and meaning."""
    lines = [
        NOTICE,
        "# Settings",
        "",
        SETTINGS_INTRODUCTION,
        "",
        "# The file",
        "",
    ]
    lines += _settings_table(Settings, "")
    for name, field in Settings.model_fields.items():
        model = _model_of(field.annotation)
        if model is not None and name != "sources":
            lines += ["", f"## {name}", "", _docstring(model), "", *_settings_table(model, f"{name}.")]
    lines += ["", "# Channels", "", CHANNELS_INTRODUCTION]
    for channel in CHANNEL_KINDS:
        kind = get_args(channel.model_fields["kind"].annotation)[0]
        lines += ["", f"## channels: {kind}", "", _docstring(channel), "", *_settings_table(channel, "")]
    lines += ["", "# Sources", "", "`sources` is a list; `kind` decides which keys an entry has."]
    for model in SOURCE_KINDS:
        kind = get_args(model.model_fields["kind"].annotation)[0]
        lines += ["", f"## sources: {kind}", "", _docstring(model), ""]
        lines += _settings_table(model, "")
        for name, field in model.model_fields.items():
            nested = _model_of(field.annotation)
            if nested is not None and nested is not SecretRef:
                lines += ["", f"### {name}", "", _docstring(nested), "", *_settings_table(nested, f"{name}.")]
    return "\n".join(lines) + "\n"


def _settings_table(model: type[BaseModel], prefix: str) -> list[str]:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        section = _model_of(field.annotation)
        kind = "section" if section is not None and section is not SecretRef else _annotation_text(field)
        rows.append(f"| {_code(prefix + name)} | {kind} | {_default_text(field)} | {_cell(field.description or '')} |")
    return rows


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _annotation_text(field: FieldInfo) -> str:
    """Type and limits in words; patterns are described by the field's own text."""
    limits = [
        words.format(getattr(rule, name))
        for rule in field.metadata
        for name, words in _LIMIT_WORDS.items()
        if getattr(rule, name, None) is not None
    ]
    return _cell(", ".join([_type_words(field.annotation), *limits]))


_LIMIT_WORDS = {"ge": "at least {}", "le": "at most {}", "max_length": "up to {} characters"}
_TYPE_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    Decimal: "number",
    dt.datetime: "instant",
    dt.date: "date (YYYY-MM-DD)",
    type(None): "null",
    SecretRef: "`{env: NAME}`",
}


def _type_words(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(_code(str(part)) for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(_type_words(part) for part in parts)
    if origin is Annotated:
        return _type_words(parts[0])
    if origin is tuple:
        return f"list of {_type_words(parts[0])}" if parts[0] is str else "list"
    if origin is dict:
        return f"mapping of {_type_words(parts[0])} to {_type_words(parts[1])}"
    return _TYPE_WORDS[annotation]


def _default_text(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    if field.default is None:
        return "null"
    if isinstance(field.default, bool):
        return _code(str(field.default).lower())
    if isinstance(field.default, tuple):
        return _code("[" + ", ".join(f'"{item}"' for item in field.default) + "]")
    return _code(str(field.default))


def sources_page() -> str:
    """Every kind of source: what is read, what it covers, what makes a record the same, how late it is, how it is tested."""
    lines = [NOTICE, "# Sources", "", SOURCES_INTRODUCTION, "", "| kind | product | reads | fills |", "|---|---|---|---|"]
    for source in SOURCES.values():
        fills = ", ".join(f"[{table.name}](tables.md#{table.name})" for table in source.fills)
        facts = source.facts
        lines.append(f"| [{source.kind}](#{source.kind}) | {_cell(facts.title)} | {_cell(facts.formats)} | {fills} |")
    for source in SOURCES.values():
        facts, kind = source.facts, source.kind
        examples = sorted(path.name for path in (DOCS.parent / "tests" / "recorded" / kind).rglob("*") if path.is_file())
        lines += [
            "",
            f"## {kind}",
            "",
            f"{_cell(facts.title)}. [Switch it on; every field](../sources/{kind}.md). [Settings](settings.md#sources-{kind}).",
            "",
            "| | |",
            "|---|---|",
            f"| reads | {_cell(facts.formats)} |",
            f"| covers | {_cell(facts.covers)} |",
            f"| columns | {', '.join(map(_code, _columns_filled(kind)))} |",
            f"| identity | {_cell(facts.identity)} |",
            f"| lateness | {_cell(facts.lateness)} |",
            f"| tested on | {_cell(facts.tested_on)} |",
            f"| examples | {', '.join(map(_code, examples))} in `tests/recorded/{kind}` |",
        ]
    return "\n".join(lines) + "\n"


def _columns_filled(kind: str) -> list[str]:
    """Columns of the staged tables that the source's page maps fields to, in their stored order."""
    page = (DOCS / "sources" / f"{kind}.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    named: set[str] = set()
    place = None
    for row in rows:
        cells = [cell.strip() for cell in row]
        if "becomes" in cells:
            place = cells.index("becomes")
        elif place is not None and place < len(cells):
            named |= set(re.findall(r"`([a-z0-9_]+)`", cells[place]))
    stored = dict.fromkeys(name for table in SOURCES[kind].fills for name in table.columns)
    return [name for name in stored if name in named]


def alerts_page() -> str:
    """What rules of alerts can watch, and the keys of a rule and of a silence."""
    lines = [NOTICE, "", "# Alerts", "", ALERTS_INTRODUCTION, "", "## Measures", ""]
    lines += ["| measure | what | unit of levels | movement | side | reads | scopes |", "|---|---|---|---|---|---|---|"]
    for measure in ALERT_MEASURES.values():
        scopes = "every member scope" if measure.scope_kinds == MEMBER_SCOPES else ", ".join(measure.scope_kinds)
        level = f"{measure.unit}, `projected`" if measure.has_projection else measure.unit
        source = f"[{measure.table}](tables.md#{measure.table}): {_code(measure.column)}"
        cells = (_code(measure.name), measure.description, level, measure.movement, measure.direction, source, scopes)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Every member scope: {', '.join(MEMBER_SCOPES)}."]
    for title, model in (("A rule", AlertRule), ("The scope of a rule", AlertScope), ("A silence", AlertSilence)):
        lines += ["", f"## {title}", "", _docstring(model), "", *_settings_table(model, "")]
    return "\n".join(lines) + "\n"


def directory_page() -> str:
    """The CSV files that say who owns what, column by column."""
    lines = [
        NOTICE,
        "# Directory files",
        "",
        DIRECTORY_INTRODUCTION,
    ]
    for file_name, file in DIRECTORY_FILES.items():
        lines += ["", f"## {file_name}", ""]
        lines += _csv_section(file.table, file.key, file.optional)
    lines += ["", "# Finance files", "", FINANCE_INTRODUCTION]
    for kind in FINANCE_FILES:
        lines += ["", f"## {kind.place}", ""]
        lines += _csv_section(kind.table, kind.key, kind.optional)
    return "\n".join(lines) + "\n"


def _csv_section(table: Table, key: tuple[str, ...], optional: tuple[str, ...]) -> Iterator[str]:
    yield f"One row is {table.grain}, named by {', '.join(map(_code, key))}. Stored as [{table.name}](tables.md#{table.name})."
    yield ""
    yield "| column | may be empty | may be left out of the header | meaning |"
    yield "|---|---|---|---|"
    for name, column in table.columns.items():
        empty, left_out = "yes" if column.nullable else "", "yes" if name in optional else ""
        yield f"| {_code(name)} | {empty} | {left_out} | {_cell(column.description or '')}{_allowed_values(column)} |"


def command_line_page() -> str:
    """Every command with its arguments, options and defaults, and the exit codes."""
    lines = [NOTICE, "# Command line", "", COMMAND_LINE_INTRODUCTION]
    for name, command in commands(typer.main.get_command(app)):
        lines += ["", f"## usage-etl {name}", "", _cell(command.help or "")]
        shown = [parameter for parameter in command.params if parameter.name != "help"]
        if shown:
            lines += ["", "| argument or option | default | meaning |", "|---|---|---|"]
        for parameter in shown:
            is_option = parameter.param_type_name == "option"
            spelled = (
                ", ".join(map(_code, [*parameter.opts, *parameter.secondary_opts]))
                if is_option
                else _code(parameter.name.upper())
            )
            variable = f" Also read from {_code(parameter.envvar)}." if parameter.envvar else ""
            lines.append(f"| {spelled} | {_option_default(parameter)} | {_cell(parameter.help or '')}{variable} |")
    return "\n".join(lines) + "\n"


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its words, a group before its own commands where it does something by itself."""
    for name, command in getattr(group, "commands", {}).items():
        words = f"{above} {name}".strip()
        if not hasattr(command, "commands") or command.invoke_without_command:
            yield words, command
        yield from commands(command, words)


def _option_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool):
        return "".join(_code(name) for name in (parameter.opts if parameter.default else parameter.secondary_opts)[:1])
    return "" if parameter.default is None else _code(str(parameter.default))


def _docstring(declared: type) -> str:
    return inspect.cleandoc(declared.__doc__ or "").replace("``", "`")


def _code(text: str | None) -> str:
    return "none" if text is None else f"`{text}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/tables.md": tables_page,
    "reference/settings.md": settings_page,
    "reference/sources.md": sources_page,
    "reference/directory.md": directory_page,
    "reference/alerts.md": alerts_page,
    "reference/cli.md": command_line_page,
}


def stale_pages() -> list[str]:
    """Pages on disk that are not what the declarations say."""
    return [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).exists() or (DOCS / name).read_text(encoding="utf-8").strip() != page().strip()
    ]


def main(arguments: list[str]) -> int:
    """Writes the pages, or only compares them. Returns the exit code."""
    stale = stale_pages()
    if "--check" in arguments:
        print("\n".join(stale) or "the reference pages are up to date")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
