"""Rows of daily usage by owner: members that the directories divide are divided, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property

import polars as pl

from usage_etl.allocation.owners import OWNER_COLUMNS, OwnerDirectories
from usage_etl.allocation.split_days import split_days
from usage_etl.periods import Month
from usage_etl.units import TOKEN_CLASSES, UNALLOCATED

_MEMBER_COLUMNS = ("user_id", "api_key_id", "project_id", "investigation_id")
_DETAILS = ("project_id", "investigation_id")
_USAGE_TEXTS = (
    "host",
    "model_id",
    "currency",
    "owner_basis",
    "department_id",
    "cost_center_id",
    "team_id",
    "tag_set",
    *_MEMBER_COLUMNS,
)
_BASES = {"user": "user_id", "api_key": "api_key_id", "project": "project_id", "investigation": "investigation_id"}
"""What named a row's owner, to the column of the member."""


class UsageRows:
    """A month of FACT_USAGE_DAILY with the owner of each row from the top down and the part of the row that is this owner's."""

    def __init__(self, usage: pl.LazyFrame, owners: OwnerDirectories, *, month: Month, detail: Sequence[str]) -> None:
        self._month = month
        self._owners = owners
        self._detail = detail
        self._shares: list[Fraction] = [Fraction(1)]
        self._frame = self._owned(usage)

    def grouped(self) -> tuple[pl.DataFrame, list[Fraction]]:
        """Requests, tokens and cost by (host, model, currency, owner, part), and the parts that ``part`` numbers."""
        return self._numbered(self._summed(self._frame, "host", "model_id", "currency", *OWNER_COLUMNS))

    def users(self) -> pl.DataFrame:
        """Distinct (host, model, owner, user)."""
        columns = ("host", "model_id", *OWNER_COLUMNS, "user_id")
        return self._frame.filter(pl.col("user_id").is_not_null()).select(columns).unique().cast(pl.String).collect()

    def tagged(self, tag_key: str) -> tuple[pl.DataFrame, list[Fraction]]:
        """As ``grouped``, with the list ``values`` of a tag; an empty list where usage has not got it."""
        summed, parts = self._numbered(self._summed(self._frame, "host", "model_id", "currency", "tag_set", *OWNER_COLUMNS))
        values = {text: tag_values_of(text, tag_key) for text in summed["tag_set"].unique().drop_nulls()}
        column = pl.Series("values", [values.get(text, []) for text in summed["tag_set"]], dtype=pl.List(pl.String))
        return summed.with_columns(column), parts

    def _summed(self, frame: pl.LazyFrame, *keys: str) -> pl.DataFrame:
        cost = pl.col("effective_cost")
        tokens = pl.sum_horizontal(pl.col(*TOKEN_CLASSES).sum()).alias("total_tokens")
        known = pl.when(cost.count() > 0).then(cost.sum())
        summed = frame.group_by(*keys, "member_part", "team_part").agg(pl.col("requests_count").sum(), tokens, known)
        return summed.with_columns(pl.col(keys).cast(pl.String)).collect()

    def _numbered(self, summed: pl.DataFrame) -> tuple[pl.DataFrame, list[Fraction]]:
        """The two parts of a row (the member's team, the team's cost center) as one number of their product."""
        pairs = summed.select("member_part", "team_part").unique().sort("member_part", "team_part")
        products = [self._shares[member] * self._shares[team] for member, team in pairs.iter_rows()]
        numbered = summed.join(pairs.with_row_index("part"), on=["member_part", "team_part"], how="left")
        return numbered.drop("member_part", "team_part"), products

    def _owned(self, usage: pl.LazyFrame) -> pl.LazyFrame:
        unasked = [name for name in _DETAILS if name.removesuffix("_id") not in self._detail]
        details = [pl.lit(None, pl.Categorical).alias(name) for name in unasked]
        in_month = pl.col("usage_date").is_between(self._month.first_day, self._month.last_day)
        measures = ("requests_count", *TOKEN_CLASSES, "effective_cost")
        rows = usage.filter(in_month).select("usage_date", pl.col(_USAGE_TEXTS).cast(pl.Categorical), *measures)
        split = self._with_team_parts(self._with_member_parts(rows))
        units = _labels(self._business_units())
        nobody = pl.lit(UNALLOCATED).cast(pl.Categorical)
        return split.join(units, on=["usage_date", "department_id"], how="left").with_columns(
            pl.col("business_unit_id").fill_null(nobody), *details
        )

    def _with_member_parts(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        members = self._member_parts
        if members.is_empty():
            return rows.with_columns(member_part=pl.lit(0, pl.UInt32), is_split=pl.lit(value=False))
        member = pl.coalesce(pl.when(pl.col("owner_basis") == basis).then(column) for basis, column in _BASES.items())
        joined = rows.with_columns(member=member).join(_labels(members), on=["usage_date", "owner_basis", "member"], how="left")
        return joined.with_columns(
            pl.col("member_part").fill_null(0),
            is_split=pl.col("split_team_id").is_not_null(),
            team_id=pl.coalesce("split_team_id", "team_id"),
        ).drop("member", "split_team_id")

    def _with_team_parts(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Where a member or its team is divided, department and cost center are the directory's of the day."""
        teams = self._team_parts
        if teams.is_empty() and self._member_parts.is_empty():
            return rows.with_columns(team_part=pl.lit(0, pl.UInt32)).drop("is_split")
        joined = rows.join(_labels(teams), on=["usage_date", "team_id"], how="left")
        is_unknown = pl.col("is_split") & pl.col("day_department_id").is_null()
        nobody = pl.lit(UNALLOCATED).cast(pl.Categorical)

        def owned(day_column: str, own: str) -> pl.Expr:
            return pl.when(is_unknown).then(nobody).otherwise(pl.coalesce(day_column, own)).alias(own)

        return joined.with_columns(
            owned("day_department_id", "department_id"),
            owned("day_cost_center_id", "cost_center_id"),
            pl.when(is_unknown).then(nobody).otherwise("team_id").alias("team_id"),
            pl.col("team_part").fill_null(0),
        ).drop("is_split", "day_department_id", "day_cost_center_id")

    @cached_property
    def _member_parts(self) -> pl.DataFrame:
        """(usage_date, owner_basis, member) to each team of members that have several on the day."""
        frames = {"user": self._owners.users, "api_key": self._owners.api_keys}
        frames |= {"project": self._owners.projects, "investigation": self._owners.investigations}
        found = [
            (day, basis, member, team_id, self._share_number(share))
            for basis, frame in frames.items()
            for day, member, rows in split_days(frame, _BASES[basis], ("team_id",), month=self._month)
            for (team_id,), share in rows
        ]
        schema = {"usage_date": pl.Date, "owner_basis": pl.String, "member": pl.String, "split_team_id": pl.String}
        return pl.DataFrame(found, schema=schema | {"member_part": pl.UInt32}, orient="row")

    @cached_property
    def _team_parts(self) -> pl.DataFrame:
        """(usage_date, team_id) to the day's cost centers, of teams that are divided or that divided members belong to."""
        columns = ("department_id", "cost_center_id")
        wanted = set(self._member_parts["split_team_id"])
        found = [
            (day, team_id, department, cost_center, self._share_number(share))
            for day, team_id, rows in split_days(self._owners.teams, "team_id", columns, month=self._month, also=wanted)
            for (department, cost_center), share in rows
        ]
        schema = {"usage_date": pl.Date, "team_id": pl.String, "day_department_id": pl.String, "day_cost_center_id": pl.String}
        return pl.DataFrame(found, schema=schema | {"team_part": pl.UInt32}, orient="row")

    def _business_units(self) -> pl.DataFrame:
        """(usage_date, department_id) to the business unit of the day."""
        days = pl.DataFrame({"usage_date": list(self._month.days())}, schema={"usage_date": pl.Date})
        spans = self._owners.departments.select("department_id", "business_unit_id", "valid_from", "valid_to")
        valid = spans.join(days, how="cross").filter(
            pl.col("valid_from") <= pl.col("usage_date"),
            pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("usage_date")),
        )
        ordered = valid.sort("usage_date", "department_id", "business_unit_id", nulls_last=True)
        columns = ("usage_date", "department_id", "business_unit_id")
        return ordered.select(columns).unique(columns[:2], keep="first", maintain_order=True)

    def _share_number(self, share: Fraction) -> int:
        if share not in self._shares:
            self._shares.append(share)
        return self._shares.index(share)


def _labels(directory: pl.DataFrame) -> pl.LazyFrame:
    """The directory's texts dictionary-encoded, as those of usage are."""
    return directory.lazy().with_columns(pl.col(pl.String).cast(pl.Categorical))


def tag_values_of(tag_set: str, tag_key: str) -> list[str]:
    """Values of a tag in a tag set of sorted ``key=value`` pairs; several values stand in several pairs or behind ``;``."""
    pairs = (pair.partition("=") for pair in tag_set.split(","))
    texts = [value.replace("%2C", ",").replace("%25", "%") for key, _, value in pairs if key.lower() == tag_key.lower()]
    return sorted({value.strip() for text in texts for value in text.split(";") if value.strip()})
