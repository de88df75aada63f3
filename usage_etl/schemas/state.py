"""Relational state that is not a table of the lake: delivery index, build marks and the send ledger.

SQLite by default, PostgreSQL in production; both through SQLAlchemy Core with the unique constraints below.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

deliveries = sa.Table(
    "usage_etl_deliveries",
    metadata,
    sa.Column("delivery_id", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, unique=True, comment="order of arrival"),
    sa.Column("source", sa.String(40), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False, comment="connector"),
    sa.Column("dataset", sa.String(40), nullable=False, comment="what the object holds, for example costs"),
    sa.Column("origin_key", sa.Text, nullable=False, comment="object or request as the source names it"),
    sa.Column("origin_version", sa.Text, nullable=False, comment="size and etag, or pull time: a cheap change mark"),
    sa.Column("landed_key", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False, index=True),
    sa.Column("bytes_count", sa.BigInteger, nullable=False),
    sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, comment="landed, staged, duplicate, superseded, held or refused"),
    sa.Column("status_reason", sa.Text),
    sa.Column("rows_read_count", sa.BigInteger),
    sa.Column("rows_staged_count", sa.BigInteger),
    sa.Column("rows_quarantined_count", sa.BigInteger),
    sa.Column("records_staged_count", sa.BigInteger, comment="records that became rows; one may become several"),
    sa.Column("rows_out_of_scope_count", sa.BigInteger, comment="further records, which the source does not read"),
    sa.Column("parser_version", sa.String(40)),
    sa.UniqueConstraint("source", "origin_key", "origin_version", name="usage_etl_deliveries_origin"),
)
"""One object received from a source. ``duplicate``: byte-identical to an earlier delivery of the same origin."""

bundle_members = sa.Table(
    "usage_etl_bundle_members",
    metadata,
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey(deliveries.c.delivery_id), primary_key=True),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("folder", sa.Text, nullable=False),
    sa.Column("members_count", sa.BigInteger, nullable=False),
    sa.Column("marks", sa.LargeBinary, nullable=False, comment="a hash of 12 bytes of each member's key and version"),
    sa.Index("usage_etl_bundle_members_folder", "source", "folder"),
)
"""Which objects of a folder a bundle holds, so that only new ones are landed."""

delivery_days = sa.Table(
    "usage_etl_delivery_days",
    metadata,
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey(deliveries.c.delivery_id), primary_key=True),
    sa.Column("table_name", sa.String(40), primary_key=True, comment="staged_usage or staged_charges"),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("staged_key", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("rows_count", sa.BigInteger, nullable=False),
    sa.Index("usage_etl_delivery_days_day", "table_name", "usage_date"),
)
"""One staged object: the rows of one delivery on one day."""

buckets = sa.Table(
    "usage_etl_buckets",
    metadata,
    sa.Column("bucket_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("table_name", sa.String(40), nullable=False, comment="staged_usage or staged_charges"),
    sa.Column("bucket_key", sa.Text, nullable=False),
    sa.Column("winner_sequence", sa.BigInteger, comment="delivery whose rows count; null: none that counts covers it"),
    sa.UniqueConstraint("source", "table_name", "bucket_key", name="usage_etl_buckets_key"),
)
"""One replacement unit of a source, and which delivery answers for it now."""

bucket_claims = sa.Table(
    "usage_etl_bucket_claims",
    metadata,
    sa.Column("bucket_id", sa.BigInteger, sa.ForeignKey(buckets.c.bucket_id), primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False, comment="delivery, by order of arrival"),
    sa.Column("version_at", sa.DateTime(timezone=True), comment="when the source made this version; null: arrival tells"),
    sa.Index("usage_etl_bucket_claims_sequence", "sequence"),
)
"""One bucket that a delivery covers, with or without rows."""

bucket_days = sa.Table(
    "usage_etl_bucket_days",
    metadata,
    sa.Column("bucket_id", sa.BigInteger, sa.ForeignKey(buckets.c.bucket_id), primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False, comment="delivery, by order of arrival"),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("rows_count", sa.BigInteger, nullable=False),
    sa.Index("usage_etl_bucket_days_day", "usage_date", "bucket_id", "sequence"),
    sqlite_with_rowid=False,
)
"""The rows of one bucket, delivery and day. A day without rows has none."""

day_inputs = sa.Table(
    "usage_etl_day_inputs",
    metadata,
    sa.Column("table_name", sa.String(40), primary_key=True),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("staged_fingerprint", sa.String(64), nullable=False),
)
"""Fingerprint of the rows that count on a day, kept up to date by every change; a day on which none count has no row."""

day_builds = sa.Table(
    "usage_etl_day_builds",
    metadata,
    sa.Column("table_name", sa.String(40), primary_key=True),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("staged_fingerprint", sa.String(64), nullable=False),
    sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
)
"""Which rows a day was last built from; a day is stale when ``day_inputs`` now says others."""

day_contents = sa.Table(
    "usage_etl_day_contents",
    metadata,
    sa.Column("table_name", sa.String(40), primary_key=True),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("version", sa.String(64), nullable=False, comment="sha256 of the committed partition"),
    sa.Column("figures", sa.Text, nullable=False, comment="JSON: currency to figures"),
    sa.Column("deliveries", sa.LargeBinary, nullable=False, comment="ids of the deliveries that count, packed"),
)
"""What a built day says and of which deliveries it is made, to compare its next build with."""

restatements = sa.Table(
    "usage_etl_restatements",
    metadata,
    sa.Column("table_name", sa.String(40), primary_key=True),
    sa.Column("usage_date", sa.Date, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False, comment="1 is the first rebuild of the day"),
    sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("figures_before", sa.Text, nullable=False, comment="JSON: currency to figures"),
    sa.Column("figures_after", sa.Text, nullable=False, comment="JSON: currency to figures"),
    sa.Column("new_deliveries", sa.LargeBinary, nullable=False, comment="ids, packed"),
    sa.Column("stopped_deliveries", sa.LargeBinary, nullable=False, comment="ids, packed"),
    sa.Column("has_other_rows", sa.Boolean, nullable=False, comment="whether other staged rows count than before"),
    sa.Index("usage_etl_restatements_day", "usage_date"),
)
"""One rebuild of a day that was built before, from other rows or to other figures."""

sends = sa.Table(
    "usage_etl_sends",
    metadata,
    sa.Column("send_key", sa.String(64), primary_key=True, comment="report, period, recipient and content"),
    sa.Column("report", sa.String(40), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("channel", sa.String(16), nullable=False, comment="email or publish"),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("content_sha256", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, comment="claimed, sent, ambiguous, dead or released"),
    sa.Column("status_reason", sa.Text),
    sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
)
"""One hand-over of one content to one recipient; the primary key makes it happen once."""

period_events = sa.Table(
    "usage_etl_period_events",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False, comment="1 is the first event"),
    sa.Column("event", sa.String(16), nullable=False, comment="closed or reopened"),
    sa.Column("provider_name", sa.String(255), nullable=False, comment="* is every provider without a closing of its own"),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("number", sa.Integer, nullable=False, comment="1 is the first closing of the provider's month"),
    sa.Column("happened_at", sa.String(32), nullable=False, comment="UTC, ISO 8601 with microseconds; part of the hash"),
    sa.Column("done_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, comment="why it was reopened"),
    sa.Column("lines_count", sa.BigInteger, comment="lines of the closing in mart_chargeback_closed"),
    sa.Column("lines_sha256", sa.String(64), comment="of those lines"),
    sa.Column("totals", sa.Text, comment="JSON: currency to exact sum"),
    sa.Column("inputs", sa.Text, comment="JSON: name to sha256 of what the lines were made from"),
    sa.Column("gates", sa.Text, comment="JSON: what held when it was closed"),
    sa.Column("previous_sha256", sa.String(64), nullable=False, unique=True, comment="of the event before; zeros for the first"),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True, comment="of this event with previous_sha256"),
    sa.UniqueConstraint("provider_name", "month", "number", "event", name="usage_etl_period_events_once"),
)
"""One closing or reopening of one provider's month. Rows are only ever added; each hash holds the one before."""
