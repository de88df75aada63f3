"""What everybody at Tidewater Labs owes, worked out a second time: fractions, the rules in a few lines, no code of the product.

An ``Item`` is one line of a chargeback without its amount. Exact shares of a provider's month are rounded together to whole
cents: everybody's share is cut, and the missing cents go to those who lost most.
"""

import calendar
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.acceptance.three_months import (
    ACCOUNTS,
    CREDIT,
    CREDIT_DAY,
    GPT,
    HAIKU,
    MAIN,
    MINI,
    MOVE,
    PEOPLE,
    SANDBOX,
    SANDBOX_COST,
    SEAT_COST,
    SHARED_KEY,
    SHARED_KEY_SPLIT,
    SUPPORT_COST,
    TAX_COST,
    TEAMS,
    Day,
    Known,
    Request,
    cost,
)

NOBODY, NOTHING = "unallocated", "unexplained"
TOLERANCE = Fraction(1005, 1000)
"""Owners pay at most half a percent above their metered cost."""

Cents = dict["Item", int]


@dataclass(frozen=True, order=True)
class Item:
    """Who pays for what."""

    provider: str
    charge_kind: str
    sub_account: str
    model: str
    line_kind: str
    team: str
    corrects: str = ""
    """Month that the line corrects."""


def team_of(user: str, day: Day, known: Known) -> str:
    """Team of a person on a day, as the directory of the act has it."""
    moved_user, moved_on, team = MOVE
    return team if known.moved and user == moved_user and day >= moved_on else PEOPLE[user]


def owners_of(request: Request, known: Known) -> Mapping[str, Fraction]:
    """Team to its part of a request."""
    if request.key == SHARED_KEY:
        return SHARED_KEY_SPLIT
    return {team_of(request.user, request.day, known) if request.user in PEOPLE else NOBODY: Fraction(1)}


def metered(month: str, provider: str, known: Known) -> dict[str, Fraction]:
    """Team to the exact cost of its requests."""
    found: defaultdict[str, Fraction] = defaultdict(Fraction)
    for request in known.traffic:
        if request.provider == provider and str(request.day).startswith(month):
            for team, part in owners_of(request, known).items():
                found[team] += part * cost(request)
    return dict(found)


def exact_shares(month: str, known: Known) -> dict[Item, Fraction]:
    """Everybody's exact share of every bill of the month."""
    found = {**_usage(month, "openai", MAIN, GPT, known), **_usage(month, "anthropic", "", HAIKU, known)}
    if dt.date.fromisoformat(f"{month}-20") <= known.as_of:
        found[Item("openai", "usage", SANDBOX, MINI, NOTHING, NOTHING)] = SANDBOX_COST
    if known.credit and str(CREDIT_DAY).startswith(month):
        for team in ("vision", "language"):
            found[Item("anthropic", "credit", "", "", "allocated", team)] = CREDIT / 2
    return found | (_desk(month, known) if month in known.desk_bills else {})


def _usage(month: str, provider: str, project: str, model: str, known: Known) -> dict[Item, Fraction]:
    """The bill of a model by metered cost. It never names more than was metered, so the tolerance cuts nobody's share off."""
    weights = metered(month, provider, known)
    basis = sum(weights.values(), Fraction(0))
    bill = sum(cost(r) for r in known.traffic if r.is_billed and r.provider == provider and str(r.day).startswith(month))
    assert bill <= basis * TOLERANCE
    kinds = {team: NOBODY if team == NOBODY else "allocated" for team in weights}
    return {Item(provider, "usage", project, model, kinds[team], team): bill * weight / basis for team, weight in weights.items()}


def _desk(month: str, known: Known) -> dict[Item, Fraction]:
    """Seats to who sits on them on the month's last day; support 60 : 40 by department, then even; tax like the others."""
    last_day = _last_day(month)
    paid: dict[str, dict[str, Fraction]] = {"seat": {}, "support": {}, "tax": {}}
    for user in PEOPLE:
        team = team_of(user, last_day, known)
        paid["seat"][team] = paid["seat"].get(team, Fraction(0)) + SEAT_COST
    for department, percent in (("research", 60), ("operations", 40)):
        members = [team for team, (place, _) in TEAMS.items() if place == department]
        for team in members:
            paid["support"][team] = SUPPORT_COST * percent / 100 / len(members)
    before_tax = SEAT_COST * len(PEOPLE) + SUPPORT_COST
    for team in TEAMS:
        paid["tax"][team] = TAX_COST * (paid["seat"].get(team, Fraction(0)) + paid["support"][team]) / before_tax
    return {
        Item("deskco", kind, "", "", "allocated", team): share for kind, shares in paid.items() for team, share in shares.items()
    }


def _last_day(month: str) -> Day:
    year, number = map(int, month.split("-"))
    return dt.date(year, number, calendar.monthrange(year, number)[1])


def owed(month: str, known: Known) -> Cents:
    """The month's own lines in cents, as what is known gives them: each provider's add up to its invoices, or to its bill."""
    shares, found = exact_shares(month, known), Cents()
    for provider in ACCOUNTS:
        mine = {item: share * 100 for item, share in shares.items() if item.provider == provider}
        found |= rounded(mine)
        invoices = known.invoices.get((provider, month), ())
        total = sum(round(Fraction(text) * 100) for text in invoices)
        if invoices and total != round(sum(mine.values(), Fraction(0))):
            found[Item(provider, "adjustment", "", "", "rounding", NOBODY)] = total - round(sum(mine.values(), Fraction(0)))
    return {item: cents for item, cents in found.items() if cents}


def rounded(exact: Mapping[Item, Fraction]) -> Cents:
    """Whole cents by largest remainder; no two that compete for the last cent may have lost the same.

    Where a credit outweighs the bill, the same with every sign turned.
    """
    if sum(exact.values()) < 0:
        return {item: -cents for item, cents in rounded({item: -share for item, share in exact.items()}).items()}
    cut = {item: share // 1 for item, share in exact.items()}
    missing = round(sum(exact.values(), Fraction(0))) - sum(cut.values())
    by_loss = sorted(exact, key=lambda item: exact[item] - cut[item], reverse=True)
    if 0 < missing < len(by_loss):
        last, first_without = by_loss[missing - 1], by_loss[missing]
        assert exact[last] - cut[last] != exact[first_without] - cut[first_without], "a tie: choose other numbers"
    return {item: cut[item] + (item in by_loss[:missing]) for item in exact}


def change(month: str, *, before: Known, now: Known) -> Cents:
    """What a closed month owes more, or less, than was booked."""
    old, new = owed(month, before), owed(month, now)
    changes = {item: new.get(item, 0) - old.get(item, 0) for item in {*old, *new}}
    return {replace(item, corrects=month): cents for item, cents in changes.items() if cents}


def by_team(lines: Mapping[Item, int]) -> dict[str, int]:
    """Cents of each team, of nobody and of nothing that explains them."""
    found: defaultdict[str, int] = defaultdict(int)
    for item, cents in lines.items():
        found[item.team] += cents
    return dict(found)


def by_center(lines: Mapping[Item, int]) -> dict[str, int]:
    """Cents of each cost center."""
    found: defaultdict[str, int] = defaultdict(int)
    for item, cents in lines.items():
        found[TEAMS[item.team][1] if item.team in TEAMS else item.team] += cents
    return dict(found)


def added(*parts: Mapping[Item, int]) -> Cents:
    """Lines of several kinds in one month."""
    found: defaultdict[Item, int] = defaultdict(int)
    for part in parts:
        for item, cents in part.items():
            found[item] += cents
    return dict(found)


def bill_total(month: str, provider: str, known: Known) -> Fraction:
    """The exact sum of a provider's bill."""
    return sum((share for item, share in exact_shares(month, known).items() if item.provider == provider), Fraction(0))
