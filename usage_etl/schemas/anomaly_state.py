"""State of anomalies: the episodes that were seen, and what became of each."""

from __future__ import annotations

import sqlalchemy as sa

from usage_etl.schemas.state import metadata

OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"

anomaly_episodes = sa.Table(
    "usage_etl_anomaly_episodes",
    metadata,
    sa.Column("episode_id", sa.String(32), primary_key=True, comment="of mart_anomalies"),
    sa.Column("scope_kind", sa.String(16), nullable=False),
    sa.Column("scope_id", sa.Text, nullable=False),
    sa.Column("scope_name", sa.Text, nullable=False),
    sa.Column("measure", sa.String(32), nullable=False),
    sa.Column("first_date", sa.Date, nullable=False),
    sa.Column("last_date", sa.Date, nullable=False, comment="last anomalous day seen so far"),
    sa.Column("days_count", sa.Integer, nullable=False),
    sa.Column("excess", sa.Text, nullable=False, comment="exact sum of the days' excess, in the unit of the measure"),
    sa.Column("currency", sa.String(3)),
    sa.Column("cause", sa.Text, nullable=False, comment="of the largest day"),
    sa.Index("usage_etl_anomaly_episodes_last", "last_date"),
)
"""One run of anomalous days of one scope and measure that alerts."""

anomaly_events = sa.Table(
    "usage_etl_anomaly_events",
    metadata,
    sa.Column("episode_id", sa.String(32), sa.ForeignKey(anomaly_episodes.c.episode_id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False, comment="1 is the opening"),
    sa.Column("status", sa.String(16), nullable=False, comment="open, acknowledged or resolved from here on"),
    sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("done_by", sa.Text, nullable=False, comment="who; usage-etl where nobody had to"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("through_date", sa.Date, nullable=False, comment="last anomalous day that was known"),
)
"""One change of an episode's status. Rows are only added; the key makes each number happen once."""
