"""The tie-out: a provider's bill beside its usage report and the gateway's log at our prices, each difference with its causes.

Owns the comparison of bills with usage. Does not price (``pricing``), and does not decide who pays (``chargeback``).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import polars as pl

from usage_etl.allocation.tie_out_bills import Bills, Frame, RowKey, read_bills
from usage_etl.allocation.tie_out_causes import Causes, Period, explain
from usage_etl.allocation.tie_out_frames import TieOutRow, daily_frame, monthly_frame
from usage_etl.allocation.tie_out_rows import Entry, Places, Side
from usage_etl.allocation.tie_out_usage import PriceRates, UsageDays, local_day, read_usage
from usage_etl.config.finance import ReconciliationSettings
from usage_etl.periods import Month

Day = dt.date | None
"""A day of the bill; None is the whole month of an account whose lines cover more than a day."""


def tie_out_month(
    charges: Frame,
    usage_daily: Frame,
    usage_hourly: Frame,
    provider_usage_daily: Frame,
    prices: Frame,
    *,
    month: Month,
    settings: ReconciliationSettings,
    organization_currency: str,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """mart_reconciliation_daily and mart_reconciliation_monthly of one month.

    ``charges`` is billing_charges (usage and credits count here), ``usage_daily`` fact_usage_daily, ``provider_usage_daily``
    the providers' own usage reports in the same shape (empty where none is delivered), ``prices`` dim_price. ``usage_hourly``
    is fact_usage_hourly of the month and of the days beside it; only providers of ``settings.time_zones`` are read from it.
    Rows of other days than the month's are left out.

    Every billed usage or credit line and every priced amount stands in exactly one row, so the columns add up to those of the
    facts, per currency. Causes and unexplained cost add up to each difference. The month's causes are the sums of its days',
    except that bypassed and not billed tokens of one row are netted over the days of which both the bill and logs arrived (a
    request at midnight is logged on one day and billed on the next), and that usage of days that are not billed yet is
    not_billed. Accounts whose lines cover more than a day have no daily rows.
    """
    bills = read_bills(charges, month=month)
    rates = PriceRates(prices)
    rates.learn([usage_daily, provider_usage_daily])
    table = _Table(bills, rates, month, organization_currency)
    logs = read_usage(usage_daily, rates, month=month)
    table.add_usage(logs, "metered")
    billed = {group.provider for group in bills.groups}
    zoned = {host: zone for host, zone in settings.time_zones.items() if host in billed and zone != "UTC"}
    for host, zone in zoned.items():
        hours = usage_hourly.lazy().filter(pl.col("host").cast(pl.String) == host)
        day = local_day(zone, is_hourly=host in bills.hourly)
        table.add_usage(read_usage(hours, rates, month=month, day=day), "cut")
    table.copy_cut(except_hosts=frozenset(zoned), logs=logs)
    table.add_usage(read_usage(provider_usage_daily, rates, month=month), "reported")
    rows = list(table.rows())
    tolerance = Fraction(settings.tolerance_pct) / 100
    used = logs.models
    return (
        daily_frame([row for row in rows if row.day is not None], month=month, tolerance=tolerance, used=used),
        monthly_frame(rows, month=month, tolerance=tolerance, used=used),
    )


@dataclass
class _Table:
    """Rows of the month by day, being filled."""

    bills: Bills
    rates: PriceRates
    month: Month
    organization_currency: str
    entries: defaultdict[Day, defaultdict[RowKey, Entry]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Entry)))
    log_days: set[tuple[str, dt.date]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._places = Places(self.bills.groups, self.organization_currency)
        for group in self.bills.groups:
            entry = self.entries[self._day(group.key, group.day)][group.key]
            if group.is_credit:
                entry.credits += group.attos
            else:
                entry.lines.append(group)

    def _day(self, key: RowKey, day: dt.date) -> Day:
        return None if (key.provider, key.account) in self.bills.coarse else day

    def add_usage(self, usage: UsageDays, name: str) -> None:
        """Puts usage beside the bill, on the side ``name``: metered, cut or reported."""
        for used in usage.used:
            for key, attos, quantity in self._places.parts(used):
                side: Side = getattr(self.entries[self._day(key, used.day)][key], name)
                side.add(used, attos, quantity)
        if name == "cut":
            self.log_days |= usage.days

    def copy_cut(self, *, except_hosts: frozenset[str], logs: UsageDays) -> None:
        """Providers whose days are UTC days are cut as they are metered."""
        for rows in self.entries.values():
            for key, entry in rows.items():
                if key.provider not in except_hosts:
                    entry.cut.merge(entry.metered)
        self.log_days |= {(host, day) for host, day in logs.days if host not in except_hosts}

    def rows(self) -> Iterator[TieOutRow]:
        """Every row of every day with its causes."""
        metered_rows = frozenset(
            key for rows in self.entries.values() for key, entry in rows.items() if entry.cut.attos is not None
        )
        for day, rows in self.entries.items():
            families: defaultdict[tuple[str, str | None, str | None, str], dict[RowKey, Entry]] = defaultdict(dict)
            for key, entry in rows.items():
                if self._is_billed(key, day, entry):
                    families[key.provider, key.account, key.model, key.currency][key] = entry
                else:
                    yield TieOutRow(day, key, entry, None)
            reports = {
                (key.provider, key.account) for key, entry in rows.items() if entry.reported.quantity or entry.reported.attos
            }
            for (provider, account, _, _), family in families.items():
                period = Period(
                    has_logs=self._has_logs(provider, day),
                    has_report=(provider, account) in reports,
                    metered_rows=metered_rows,
                    book=self._book(day),
                )
                causes: Mapping[RowKey, Causes] = explain(family, period)
                yield from (TieOutRow(day, key, entry, causes[key]) for key, entry in family.items())

    def _is_billed(self, key: RowKey, day: Day, entry: Entry) -> bool:
        """Whether the bill of the row's day has arrived: it names the row, or a later day of its account."""
        if key.account is None:
            return False
        last = self.bills.last_days.get((key.provider, key.account))
        return bool(entry.lines or entry.credits) or day is None or (last is not None and day <= last)

    def _has_logs(self, provider: str, day: Day) -> bool:
        if day is None:
            return any(host == provider for host, _ in self.log_days)
        return (provider, day) in self.log_days

    def _book(self, day: Day) -> Callable[[RowKey], list[tuple[bool, Fraction]]]:
        first, end = (self.month.first_day, self.month.end) if day is None else (day, day + dt.timedelta(days=1))

        def rates_of(key: RowKey) -> list[tuple[bool, Fraction]]:
            if key.model is None or key.token_class is None:
                return []
            return self.rates.in_force(
                key.provider,
                key.model,
                key.token_class,
                processing=key.processing,
                currency=key.currency,
                first=first,
                end=end,
            )

        return rates_of
