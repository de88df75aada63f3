"""Published versions are found by number, status and hash, in the order in which they were published."""

import datetime as dt
import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from usage_etl.delivery.manifest import Document, Edition
from usage_etl.delivery.publish import publish
from usage_etl.delivery.versions import PublishedVersion, choose_version, published_versions, read_file
from usage_etl.errors import DeliveryError, IntegrityError
from usage_etl.lake import FolderStore

AS_OF = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
STATUSES = ("open", "closed", "closed", "preliminary")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def versions(store: FolderStore) -> list[PublishedVersion]:
    standing = None
    for number, status in enumerate(STATUSES):
        edition = Edition(report="chargeback", period="2026-10", period_status=status, as_of=AS_OF, reopened_from=standing)
        files = [Document("lines.csv", str(number).encode(), "text/csv")]
        standing = publish(store, edition, files, lock=nullcontext()).manifest_sha256
    return published_versions(store, "chargeback", "2026-10")


def chosen(versions: list[PublishedVersion], selector: str) -> int:
    return choose_version(versions, selector, report="chargeback", period="2026-10").number


def test_versions_are_numbered_in_the_order_of_publishing(store: FolderStore, versions: list[PublishedVersion]) -> None:
    assert [version.name for version in versions] == [f"2026-10@v{number}" for number in (1, 2, 3, 4)]
    assert [read_file(store, version, "lines.csv") for version in versions] == [b"0", b"1", b"2", b"3"]
    published = [version.published_at for version in versions]
    assert published == sorted(published)


def test_a_version_is_chosen_by_number_word_or_hash(versions: list[PublishedVersion]) -> None:
    assert [chosen(versions, selector) for selector in ("v1", "v3", "latest", "closed")] == [1, 3, 4, 3]
    for version in versions:
        sha256 = version.manifest_sha256
        assert {chosen(versions, text) for text in (sha256, sha256[:12], f"v-{sha256[:12]}")} == {version.number}


@pytest.mark.parametrize("selector", ["v0", "v5", "v01", "0", "abc", "", "newest", "V1", "f" * 64, "v1 "])
def test_a_version_that_is_not_there_is_an_error_that_lists_those_that_are(
    versions: list[PublishedVersion], selector: str
) -> None:
    with pytest.raises(DeliveryError, match=r"names no version; published: v1 \([0-9a-f]{12}, open\), v2"):
        chosen(versions, selector)


def test_a_hash_that_names_several_versions_is_an_error(versions: list[PublishedVersion]) -> None:
    twins = [versions[0], versions[0]]
    with pytest.raises(DeliveryError, match="names several"):
        chosen(twins, versions[0].manifest_sha256[:6])


def test_nothing_published_is_no_version(store: FolderStore) -> None:
    assert published_versions(store, "chargeback", "2026-09") == []
    with pytest.raises(DeliveryError, match="published: none"):
        choose_version([], "closed", report="chargeback", period="2026-09")


def test_what_was_changed_since_is_not_read(store: FolderStore, versions: list[PublishedVersion]) -> None:
    first = versions[0]
    store.write(f"{first.prefix}/lines.csv", b"forged")
    with pytest.raises(IntegrityError, match=r"lines\.csv"):
        read_file(store, first, "lines.csv")
    with pytest.raises(DeliveryError, match=r"holds no chargeback\.parquet; it holds lines\.csv"):
        read_file(store, first, "chargeback.parquet")
    store.write(f"{first.prefix}/manifest.json", json.dumps({**first.manifest, "period_status": "closed"}).encode())
    with pytest.raises(IntegrityError, match="manifest"):
        published_versions(store, "chargeback", "2026-10")
