"""Directory files above and beside the teams: business units, departments, cost centers, projects, investigations."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from usage_etl.demo import anthropic_pages, openai_pages
from usage_etl.demo.csv_text import csv_text
from usage_etl.demo.features import FEATURES
from usage_etl.demo.organization import DIRECTORY_START, EMAIL_DOMAIN, TEAMS
from usage_etl.demo.requests import Request

_SPAN = ("valid_from", "valid_to")
_BUSINESS_UNITS = (
    ("bu-northwind", "Northwind", None, "cfo"),
    ("bu-products", "Northwind Products", "bu-northwind", "products-controlling"),
    ("bu-services", "Northwind Managed Services", "bu-northwind", "services-controlling"),
)
_UNIT_OF_DEPARTMENT = {"engineering": "bu-products", "customer-operations": "bu-services", "corporate": "bu-northwind"}
_ACCOUNT_OF_DEPARTMENT = {"engineering": "6410-AI-RND", "customer-operations": "5230-AI-SERVICE", "corporate": "6620-AI-ADMIN"}
_OWNER_OF_PRODUCT = {
    "psa": "team-servicedesk",
    "crm": "team-sales",
    "defend": "team-defend",
    "voice": "team-voice",
    "books": "team-finance",
    "rmm": "team-rmm",
    "ai-platform": "team-data",
    "interactive": "team-platform",
}
"""Who runs the project in which a product's services ask. Nobody registered the notebooks' ``sandbox``."""

_CASES = (
    "Credential stuffing at a tenant",
    "Ransomware precursor on a file server",
    "Token theft through a mail rule",
    "Phishing wave against finance",
    "Beaconing from a kiosk network",
)


def owner_files(by_day: Mapping[dt.date, Sequence[Request]]) -> dict[str, str]:
    """File name to text of each file; the investigations are the busiest of the traffic."""
    return {
        "business_units.csv": csv_text(
            ("business_unit_id", "business_unit_name", "parent_id", "owner_email", *_SPAN),
            ((unit, name, parent, _email(owner), DIRECTORY_START, None) for unit, name, parent, owner in _BUSINESS_UNITS),
        ),
        "departments.csv": csv_text(
            ("department_id", "department_name", "business_unit_id", "owner_email", *_SPAN), _departments()
        ),
        "cost_centers.csv": csv_text(
            ("cost_center_id", "cost_center_name", "gl_account", "owner_email", *_SPAN), _cost_centers()
        ),
        "projects.csv": csv_text(("project_id", "project_name", "team_id", *_SPAN), _projects()),
        "investigations.csv": csv_text(
            ("investigation_id", "investigation_name", "team_id", *_SPAN),
            _investigations(request for requests in by_day.values() for request in requests),
        ),
    }


def _email(name: str) -> str:
    return f"{name}@{EMAIL_DOMAIN}"


def _departments() -> Iterator[tuple[object, ...]]:
    for department, name in dict.fromkeys((team.department_id, team.department_name) for team in TEAMS):
        yield department, name, _UNIT_OF_DEPARTMENT[department], _email(f"{department}-head"), DIRECTORY_START, None


def _cost_centers() -> Iterator[tuple[object, ...]]:
    for center, name, department in dict.fromkeys((t.cost_center_id, t.cost_center_name, t.department_id) for t in TEAMS):
        owner = _email(f"{name.lower().replace(' ', '-')}-budget")
        yield center, name, _ACCOUNT_OF_DEPARTMENT[department], owner, DIRECTORY_START, None


def _projects() -> Iterator[tuple[object, ...]]:
    names = {feature.product_id: feature.product_name for feature in FEATURES} | {"interactive": "Interactive use"}
    for provider, projects in (("OpenAI", openai_pages.PROJECTS), ("Anthropic", anthropic_pages.WORKSPACES)):
        for product, project_id in projects.items():
            if project_id is not None and product in _OWNER_OF_PRODUCT:
                yield project_id, f"{names[product]} at {provider}", _OWNER_OF_PRODUCT[product], DIRECTORY_START, None


def _investigations(requests: Iterable[Request]) -> Iterator[tuple[object, ...]]:
    """The busiest, each of the team whose keys worked on it most; others stay without a name, as in life."""
    counts = Counter((request.investigation, request.key.team_id) for request in requests if request.investigation)
    teams: dict[str, str] = {}
    for (investigation, team), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        teams.setdefault(investigation, team)
    for (investigation, team), name in zip(teams.items(), _CASES, strict=False):
        yield investigation, name, team, DIRECTORY_START, None
