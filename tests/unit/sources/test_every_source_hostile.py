"""Every source against every hostile file: refused with a reason, or read with every record accounted for; never a crash."""

import dataclasses
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sources.every_source import documented_settings, recorded_deliveries
from tests.unit.sources.hostile_files import HOSTILE, mutated_parquet
from tests.unit.sources.spend_logs import CONTEXT
from usage_etl.config.settings import ParsingSettings
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.sandbox.child import ParseChild
from usage_etl.sources.staging import StagedDelivery


@pytest.fixture(scope="module")
def child() -> Iterator[ParseChild]:
    found = ParseChild(ParsingSettings(memory_mb=2048, cpu_s=30, cpu_s_per_mb=0))
    yield found
    found.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every hostile file, written once."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {name: folder / f"{number:03d}" for number, name in enumerate(HOSTILE)}
    for name, write in HOSTILE.items():
        write(paths[name])
    for number, content in enumerate(mutated_parquet(1)):
        paths[f"mutated parquet {number}"] = folder / f"mutated{number}"
        paths[f"mutated parquet {number}"].write_bytes(content)
    return paths


def context(kind: str) -> ParseContext:
    return dataclasses.replace(CONTEXT, settings=documented_settings(kind)[0])


def staged(child: ParseChild, path: Path, kind: str, folder: Path) -> StagedDelivery:
    folder.mkdir()
    return child.stage(path, kind=kind, context=context(kind), work_folder=folder)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_settings_that_a_page_shows_are_accepted(kind: str) -> None:
    assert documented_settings(kind)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_hostile_file_is_refused_or_accounted_for(
    kind: str, child: ParseChild, hostile: dict[str, Path], tmp_path: Path
) -> None:
    faults = []
    for number, (name, path) in enumerate(hostile.items()):
        try:
            found = staged(child, path, kind, tmp_path / str(number))
        except UnreadableDeliveryError as error:
            if not error.reason or "crash" in error.reason:
                faults.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - all faults are shown at once
            faults.append(f"{name}: {error}")
        else:
            if found.rows_staged:
                faults.append(f"{name}: {found.rows_staged} row(s) were staged")
    assert faults == []


@pytest.mark.parametrize("kind", SOURCES)
def test_the_recorded_examples_give_the_same_rows_twice(kind: str, child: ParseChild, tmp_path: Path) -> None:
    """The child is well after all that, and at least one example of each kind gives rows."""
    rows_count = 0
    for number, path in enumerate(recorded_deliveries(kind, tmp_path)):
        once, again = (outcome(child, path, kind, tmp_path / f"{number}-{turn}") for turn in ("once", "again"))
        assert once == again, path.name
        rows_count += sum(rows for _, _, rows, _ in once) if isinstance(once, list) else 0
    assert rows_count


def outcome(child: ParseChild, path: Path, kind: str, folder: Path) -> list[tuple[str, object, int, str]] | str:
    """Staged files by table, day, rows and bytes; or why the file is refused, as some examples are on purpose."""
    try:
        found = staged(child, path, kind, folder)
    except UnreadableDeliveryError as error:
        return error.reason
    return [(file.table_name, file.day, file.rows_count, file.sha256) for file in found.files]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["litellm", "openai"])
def test_a_line_of_more_than_a_gigabyte_is_refused_in_little_memory(kind: str, child: ParseChild, tmp_path: Path) -> None:
    path = tmp_path / "line.json.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'{"id": "')
        for _ in range(1_100):
            stream.write(b"x" * 1_000_000)
        stream.write(b'"}\n')
    with pytest.raises(UnreadableDeliveryError, match=r"longer than|larger than"):
        staged(child, path, kind, tmp_path / "work")
