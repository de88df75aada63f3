"""Image and compose file cannot be run by the tests; what they share with the rest of the project is compared instead."""

import re
import runpy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from usage_etl.config.load import CONFIG_VARIABLE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def test_image_installs_the_system_packages_that_set_up_wants() -> None:
    libraries = runpy.run_path(str(ROOT / "scripts" / "system_libraries.py"))
    wanted = {*libraries["DEBIAN_PACKAGES"], libraries["DEBIAN_FONT_PACKAGE"]}
    assert wanted <= set(re.findall(r"^\s+([a-z0-9.-]+) \\$", DOCKERFILE, flags=re.MULTILINE))


def test_image_copies_files_that_exist() -> None:
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_image_installs_by_hash_only() -> None:
    installs = re.findall(r"pip install (.+)$", DOCKERFILE, flags=re.MULTILINE)
    assert installs
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_compose_sets_every_variable_of_the_instance_file(compose: dict[str, Any]) -> None:
    wanted = set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.postgres.yaml").read_text(encoding="utf-8")))
    for name in ("daemon", "webserver", "viewer"):
        assert wanted <= compose["services"][name]["environment"].keys()
    assert f"{CONFIG_VARIABLE}=/config/usage_etl.yaml" in DOCKERFILE


def test_compose_starts_programs_that_exist(compose: dict[str, Any]) -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}
    programs = {service["command"][0] for service in compose["services"].values() if "command" in service}
    assert programs == {"dagster-daemon", "dagster-webserver"}
    assert programs <= scripts


def test_the_web_interface_is_reachable_from_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "--read-only" in compose["services"]["viewer"]["command"]
