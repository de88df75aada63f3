"""Stored bytes: landed objects, tables, and the state that says what became of them.

This room owns where things lie on a folder or in a bucket, that they are written whole or not at all, that what is read
is what was written, which versions are kept, and the order and fate of deliveries. It is the one room that speaks to S3
and to the state database's delivery tables.

It does not own what rows mean: tables are declared in ``schemas``, parsed in ``sources``, computed in the pure rooms.
It does not decide when anything runs, nor whether a delivery is loaded, held or refused; it only records the decision.
"""

from __future__ import annotations

from usage_etl.lake.as_of import AsOfTables
from usage_etl.lake.builds import DayContent
from usage_etl.lake.deliveries import CountedPart, DayInputs, LandedDelivery, StagedBucket, StagedDay, delivery_id
from usage_etl.lake.folder import FolderStore
from usage_etl.lake.holding import shrunk_bucket
from usage_etl.lake.index import DeliveryIndex
from usage_etl.lake.landing import Landing
from usage_etl.lake.manifests import Commit
from usage_etl.lake.objects import ObjectInfo, ObjectStore
from usage_etl.lake.state import open_state
from usage_etl.lake.stores import open_store
from usage_etl.lake.tables import WHOLE, TableStore

__all__ = [
    "WHOLE",
    "AsOfTables",
    "Commit",
    "CountedPart",
    "DayContent",
    "DayInputs",
    "DeliveryIndex",
    "FolderStore",
    "LandedDelivery",
    "Landing",
    "ObjectInfo",
    "ObjectStore",
    "StagedBucket",
    "StagedDay",
    "TableStore",
    "delivery_id",
    "open_state",
    "open_store",
    "shrunk_bucket",
]
