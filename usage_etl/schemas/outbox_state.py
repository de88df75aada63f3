"""State of alerts on their way: the outbox, one row per notice and recipient, and what is known of each channel."""

from __future__ import annotations

import sqlalchemy as sa

from usage_etl.schemas.state import metadata

outbox = sa.Table(
    "usage_etl_outbox",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("notice_id", sa.String(64), nullable=False, comment="idempotency key of the notice"),
    sa.Column("recipient", sa.Text, nullable=False, comment="mail address in small letters; empty: the channel itself"),
    sa.Column("channel", sa.String(40), nullable=False, comment="name of the channel in the settings"),
    sa.Column("alert_key", sa.String(64), nullable=False, comment="notices of one alert go out in the order of position"),
    sa.Column("payload", sa.Text, nullable=False, comment="JSON: the notice"),
    sa.Column("payload_sha256", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, comment="pending, claimed, sent, ambiguous or dead"),
    sa.Column("attempts_count", sa.Integer, nullable=False, comment="attempts that were begun"),
    sa.Column("doubts_count", sa.Integer, nullable=False, comment="attempts of which nobody knows whether they arrived"),
    sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False, comment="the last attempt is not before this"),
    sa.Column("claim_token", sa.String(32), comment="who holds the claim"),
    sa.Column("claimed_until", sa.DateTime(timezone=True), comment="end of the claim; later it is ambiguous"),
    sa.Column("finished_at", sa.DateTime(timezone=True), comment="when it was sent or died"),
    sa.Column("last_reason", sa.Text, comment="what the last attempt was answered"),
    sa.Column("dropped_reason", sa.Text, comment="why a person gave up a dead letter"),
    sa.UniqueConstraint("notice_id", "recipient", name="usage_etl_outbox_once"),
    sa.Index("usage_etl_outbox_due", "state", "next_attempt_at"),
    sa.Index("usage_etl_outbox_alert", "alert_key", "channel", "recipient"),
)
"""One notice for one recipient; the unique key makes a second put of the same notice nothing."""

channel_states = sa.Table(
    "usage_etl_channels",
    metadata,
    sa.Column("channel", sa.String(40), primary_key=True, comment="name of the channel in the settings"),
    sa.Column(
        "next_slot_at", sa.DateTime(timezone=True), comment="no message before this: its pace, or a server that asked to wait"
    ),
    sa.Column("disabled_at", sa.DateTime(timezone=True), comment="when the address said that it is gone; null: in use"),
    sa.Column("disabled_reason", sa.Text),
)
"""What senders must know of one channel."""
