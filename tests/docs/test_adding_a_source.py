"""The walk-through works as written: its files, put into a copy of the package, are a source, and nothing else changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding_a_source.md").read_text(encoding="utf-8")
FILES = re.findall(r"^`(usage_etl/sources/acme_gateway/\w+\.py)`\n\n```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
EXAMPLE = re.findall(r"^```json\n(.*?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL)[0]
SETTINGS = """
version: 1
organization: {id: acme, name: Acme}
start_date: 2026-11-01
as_of_date: 2026-11-02
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the new folder, beside what it needs."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("usage_etl", "assets", "report_templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def usage_etl(copy: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usage_etl.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


def lines() -> list[str]:
    good = json.loads(EXAMPLE)
    bad = [{**good, "id": "r-2", "cached": 5000}, {**good, "id": ""}, {**good, "id": "r-4", "at": 1.7e15}]
    return [EXAMPLE, *map(json.dumps, bad), "}{"]


def test_the_folder_has_the_three_files() -> None:
    assert [Path(name).name for name, _ in FILES] == ["__init__.py", "settings.py", "parse.py"]


def test_a_file_of_the_new_source_can_be_tried(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "acme.jsonl").write_text("\n".join(lines()), encoding="utf-8")
    found = usage_etl(copy, "sources", "try", "acme_gateway", "acme.jsonl", cwd=tmp_path)

    assert found.returncode == 0, found.stderr
    assert "5 record(s) read: 1 usage row(s), 4 refused" in found.stdout
    assert "input_uncached_tokens=1,000  cache_read_tokens=200  output_tokens=90  user_id=ana" in found.stdout
    for rule in ("cached__exceeds_in", "id__missing", "at__", "line__not_a_json_object"):
        assert rule in found.stdout


def test_the_new_source_runs_through_the_whole_pipeline(copy: Path, tmp_path: Path) -> None:
    entry = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "usage_etl.yaml").write_text(SETTINGS + entry, encoding="utf-8")
    landing = tmp_path / "landing" / "acme"
    landing.mkdir(parents=True)
    (landing / "2026-11-01.jsonl").write_text("\n".join(lines()), encoding="utf-8")
    found = usage_etl(copy, "run", "--no-reports", cwd=tmp_path)

    assert found.returncode == 0, found.stdout + found.stderr
    daily = pl.read_parquet(tmp_path / "lake" / "fact_usage_daily" / "**" / "*.parquet")
    assert daily.select("source", "requests_count", "price_status").rows() == [("acme", 1, "priced")]
    listed = usage_etl(copy, "sources", "--json", cwd=tmp_path)
    assert [(state["rows_staged_count"], state["rows_quarantined_count"]) for state in json.loads(listed.stdout)] == [(1, 4)]


def test_the_new_files_keep_the_project_s_own_rules(copy: Path) -> None:
    files = [str(copy / name) for name, _ in FILES]
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *files]
    assert subprocess.run(ruff, capture_output=True, text=True, check=False, cwd=copy).stdout.startswith("All checks passed")
