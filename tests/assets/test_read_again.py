"""A delivery that is read again leaves nothing of its first reading behind: its quarantine is that of the last reading."""

from pathlib import Path

import dagster as dg

from tests.assets.installation import Installation
from usage_etl.schemas import USAGE_EVENTS_QUARANTINE

SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme}
start_date: 2026-10-01
as_of_date: 2026-11-02
sources:
  - name: calls
    kind: generic
    location: landing/calls
    pattern: "*.csv"
    columns: {event_id: id, started_at: at, quantity: COLUMN}
    constants: {primitive: phone.call}
"""


def test_a_refused_file_that_reads_after_all_has_no_rows_in_quarantine(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    installation, quarantine = Installation(tmp_path / "first"), USAGE_EVENTS_QUARANTINE
    landing = installation.folder / "landing" / "calls"
    landing.mkdir(parents=True)
    (landing / "a.csv").write_text("id,at,minutes\n1,2026-11-01T08:00:00Z,2\n2,2026-11-01T09:00:00Z,3\n")
    installation.config.write_text(SETTINGS.replace("COLUMN", "seconds"))
    assert installation.run("land", instance).success
    (refused,) = installation.workspace.index.deliveries()
    assert refused.status == "refused"
    assert installation.workspace.lake.scan(quarantine).collect()["raw_ordinal"].to_list() == [0]

    installation.workspace.index.release(refused.delivery_id)
    again = installation.copied_to(tmp_path / "again")
    again.config.write_text(SETTINGS.replace("COLUMN", "minutes"))
    assert again.run("land", instance).success
    read = again.workspace.index.delivery(refused.delivery_id)
    assert (read.status, read.rows_quarantined_count, read.rows_staged_count) == ("staged", 0, 2)
    assert again.workspace.lake.scan(quarantine).collect().is_empty()
    assert again.workspace.lake.verify([quarantine]) == []
