"""The numbers of three months at Tidewater Labs: five teams, three providers, prices and requests that a hand can add up.

``three_months_files`` writes them as files of logs, bills and directories; ``three_months_expected`` says what everybody
owes. Neither knows of the other, nor of the product.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

Day = dt.date
START = Day(2026, 7, 1)
FIRST_DAY = Day(2026, 7, 15)
"""First day of the lake, and the day on which the gateway was switched on."""

JULY, AUGUST, SEPTEMBER = "2026-07", "2026-08", "2026-09"

TEAMS = {
    "vision": ("research", "cc-res"),
    "language": ("research", "cc-res"),
    "support": ("operations", "cc-ops"),
    "logistics": ("operations", "cc-ops"),
    "platform": ("operations", "cc-shared"),
}
"""Team to department and cost center."""

CENTERS = {
    "cc-res": ("Research", "6410-AI", "research-budget@tidewater.example"),
    "cc-ops": ("Operations", "6420-AI", "operations-budget@tidewater.example"),
    "cc-shared": ("Shared services", "6430-AI", "shared-budget@tidewater.example"),
}
PEOPLE = {"ana": "vision", "ben": "language", "cleo": "support", "dev": "logistics", "eve": "platform"}
STRANGER = "zed"
SHARED_KEY, SHARED_KEY_SPLIT = "key-eval", {"vision": Fraction(60, 100), "language": Fraction(40, 100)}
MOVE = ("ana", Day(2026, 8, 16), "logistics")
PRICE_CHANGE = Day(2026, 8, 16)

GPT, HAIKU, MINI = "gpt-5.2", "claude-haiku-4-5", "gpt-4.1-mini"
MAIN, SANDBOX = "proj_main", "proj_sandbox"
ACCOUNTS = {"openai": "org-tidewater", "anthropic": "tidewater-anthropic", "deskco": "tidewater-desk"}
SANDBOX_COST = Fraction(5, 4)
"""What notebooks with a key of their own cost on the 20th of each month; no gateway sees them."""

WORKING_DAYS = (2, 5, 12, 15, 20, 21, 25, 30, 31)
"""Days of a month with traffic; the others are delivered and empty."""

CREDIT_DAY, CREDIT = Day(2026, 8, 10), Fraction(-20)
SEAT_COST, SUPPORT_COST, TAX_COST = Fraction(19), Fraction(30), Fraction(25, 2)
FINANCE = "finance@tidewater.example"


@dataclass(frozen=True)
class Request:
    """One call through the gateway."""

    request_id: str
    day: Day
    provider: str
    user: str
    key: str
    input_tokens: int
    output_tokens: int
    is_billed: bool = True
    """Whether the provider's report ever names it."""

    @property
    def model(self) -> str:
        """The only model of its provider."""
        return GPT if self.provider == "openai" else HAIKU


def price(provider: str, day: Day) -> tuple[Fraction, Fraction]:
    """Dollars per million input and output tokens, by contract; the bill follows it."""
    if provider == "anthropic":
        return Fraction(1), Fraction(5)
    return (Fraction(2), Fraction(10)) if day < PRICE_CHANGE else (Fraction(3, 2), Fraction(8))


def cost(request: Request) -> Fraction:
    """Exact dollars of a request."""
    per_input, per_output = price(request.provider, request.day)
    return (request.input_tokens * per_input + request.output_tokens * per_output) / 1_000_000


def days(first: Day, last: Day) -> Iterator[Day]:
    """Both included."""
    return (first + dt.timedelta(days=number) for number in range((last - first).days + 1))


def requests(first: Day, last: Day) -> list[Request]:
    """Every request of the regular traffic, which has working days of its own; what is late is not among them."""
    return [request for day in days(first, last) if day.day in WORKING_DAYS for request in _requests_of(day)]


def _requests_of(day: Day) -> Iterator[Request]:
    for place, user in enumerate(PEOPLE):
        key = f"key-{user}"
        tokens = (100_000 + 7_000 * day.day + 1_300 * place + 17 * day.month, 9_000 + 411 * place + 53 * day.day)
        yield Request(f"{day}-{user}-o", day, "openai", user, key, *tokens)
        tokens = (150_000 + 5_000 * ((3 * day.day + place) % 7) + 11 * place, 4_000 + 97 * place + 31 * day.day)
        yield Request(f"{day}-{user}-a", day, "anthropic", user, key, *tokens)
    yield Request(f"{day}-eval", day, "openai", "", SHARED_KEY, 60_000 + 900 * day.day, 2_000 + 13 * day.day)
    if day.day == 25:
        yield Request(f"{day}-{STRANGER}", day, "anthropic", STRANGER, "key-unknown", 333_333, 3_333)


LATE_JULY = (
    Request("late-july-1", Day(2026, 7, 20), "openai", "dev", "key-dev", 600_000, 60_000),
    Request("late-july-2", Day(2026, 7, 20), "openai", "dev", "key-dev", 400_000, 40_000),
    Request("late-july-3", Day(2026, 7, 21), "anthropic", "ben", "key-ben", 1_000_000, 100_000, is_billed=False),
)
"""Delivered in September. 2.00 + 1.00 = 3.00 dollars of logistics, which a restated bill and a further invoice confirm; and
1.50 dollars of language that no bill names: the old one is divided anew."""

LATE_AUGUST = (Request("late-august-1", Day(2026, 8, 25), "openai", "eve", "key-eve", 2_000_000, 250_000),)
"""3.00 + 2.00 = 5.00 dollars of platform, delivered in October."""


@dataclass(frozen=True)
class Known:
    """What has been delivered when an act is played."""

    as_of: Day
    has_late_july: bool = False
    has_late_august: bool = False
    invoices: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    """(provider, month) to the totals of its registered invoices."""
    desk_bills: tuple[str, ...] = ()
    """Months of deskco's bills."""
    moved: bool = False
    credit: bool = False

    @property
    def traffic(self) -> list[Request]:
        """All requests of the logs."""
        late = (*LATE_JULY * self.has_late_july, *LATE_AUGUST * self.has_late_august)
        return [*requests(FIRST_DAY, self.as_of), *late]
