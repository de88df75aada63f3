"""Writing: the same bytes in every process, settings that load, directories that hold, folders that are not the demo's."""

import datetime as dt
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from usage_etl.config import load_settings
from usage_etl.config.directory import read_directories
from usage_etl.demo import write_demo
from usage_etl.demo.scenario import Scenario
from usage_etl.errors import ConfigError
from usage_etl.sources.registry import SOURCE_KINDS

DIGEST = """
import hashlib, sys
from pathlib import Path
from usage_etl.demo import write_demo
write_demo(Path(sys.argv[1]), days=3)
"""


def digest(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_two_processes_write_the_same_bytes(tmp_path):
    write_demo(tmp_path / "here", days=3)
    subprocess.run([sys.executable, "-c", DIGEST, str(tmp_path / "there")], check=True)
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_another_seed_writes_other_logs(tmp_path):
    one, two = (write_demo(tmp_path / str(seed), days=1, seed=seed) for seed in (1, 2))
    assert digest(one.target) != digest(two.target)


def test_a_demo_replaces_an_earlier_one_and_leaves_its_lake(tmp_path):
    write_demo(tmp_path, days=2)
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "kept").write_text("x")
    write_demo(tmp_path, days=1)
    assert (tmp_path / "lake" / "kept").exists()
    assert len(list((tmp_path / "landing" / "litellm").glob("spend_logs_????-??-??.jsonl.gz"))) == 1


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "usage_etl.yaml").write_text("version: '1'\n")
    with pytest.raises(ConfigError, match="not empty"):
        write_demo(tmp_path, days=1)
    assert [path.name for path in tmp_path.iterdir()] == ["usage_etl.yaml"]


def test_a_window_has_at_least_one_day_and_some_traffic(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        write_demo(tmp_path, days=0)
    for volume in (0.0, 1.5):
        with pytest.raises(ValueError, match="volume"):
            write_demo(tmp_path, volume=volume)


def test_settings_load_and_name_folders_that_exist(demo):
    settings = load_settings(demo.summary.settings_path, kinds=SOURCE_KINDS)
    assert settings.as_of_date == demo.summary.scenario.as_of
    assert settings.start_date == demo.summary.scenario.first_day.replace(day=1)
    for source in settings.sources:
        assert source.location is not None
        assert any(Path(settings.resolve(source.location)).iterdir())
    assert settings.prices.contract_file is not None
    assert Path(settings.resolve(settings.prices.contract_file)).is_file()


def test_directories_have_no_fault(demo):
    frames = read_directories(demo.folder / "directory")
    sizes = {name: frame.height for name, frame in frames.items()}
    assert sizes == {
        "dim_user": 153,
        "dim_team": 12,
        "dim_api_key": 41,
        "dim_feature": 30,
        "dim_budget": 6,
        "dim_quota": 159,
        "dim_entitlement": 2,
        "dim_business_unit": 3,
        "dim_department": 3,
        "dim_cost_center": 7,
        "dim_project": 13,
        "dim_investigation": 5,
        "dim_outcome": 2,
    }


def test_events_outside_the_window_do_not_happen(tmp_path):
    summary = write_demo(tmp_path, days=2, as_of=dt.date(2026, 3, 2))
    assert summary.runaway is None
    assert summary.billing.credits == {}
    assert summary.duplicates_count == summary.quarantined_count == 0
    assert summary.written.log_lines_count == summary.usage.requests_count


def test_dates_of_the_default_story():
    scenario = Scenario.of(seed=1, days=95, as_of=dt.date(2026, 11, 19))
    assert scenario.first_day == dt.date(2026, 8, 17)
    assert scenario.contract_start == dt.date(2026, 10, 1)
    assert scenario.team_move == dt.date(2026, 10, 15)
    assert scenario.runaway_days == (dt.date(2026, 11, 11), dt.date(2026, 11, 12))
