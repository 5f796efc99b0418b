"""Workflows are valid and test the supported versions of Python; paths in the settings of the tests exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import SLOW

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = {
    match.group(1)
    for text in PROJECT["classifiers"]
    if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text))
}


def read_yaml(name: str) -> dict[Any, Any]:
    return yaml.safe_load((ROOT / name).read_text())


def steps_of(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def lanes() -> list[dict[str, Any]]:
    return read_yaml(".github/workflows/test.yaml")["jobs"]["test"]["strategy"]["matrix"]["include"]


def test_workflows_exist():
    assert [path.stem for path in WORKFLOWS] == ["build", "mutants", "release", "test"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_valid(path):
    workflow = yaml.safe_load(path.read_text())
    assert True in workflow  # YAML reads the bare word `on` as a boolean
    assert all(("run" in step) != ("uses" in step) for step in steps_of(workflow))
    needed_jobs: set[str] = set()
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        needed_jobs |= {needs} if isinstance(needs, str) else set(needs)
    assert needed_jobs <= set(workflow["jobs"])


def test_exactly_the_supported_versions_are_tested():
    assert {lane["python"] for lane in lanes() if not lane["prerelease"]} == SUPPORTED
    assert PROJECT["requires-python"] == f">={min(SUPPORTED, key=lambda text: int(text.split('.')[1]))}"


def test_only_the_prerelease_lane_may_fail():
    assert [lane["options"] for lane in lanes() if lane["prerelease"]] == ["--pre"]
    job = read_yaml(".github/workflows/test.yaml")["jobs"]["test"]
    assert job["continue-on-error"] == "${{ matrix.prerelease }}"


def test_other_settings_use_supported_versions():
    versions = {read_yaml(".readthedocs.yaml")["build"]["tools"]["python"]}
    for path in WORKFLOWS:
        for step in steps_of(yaml.safe_load(path.read_text())):
            versions.add(step.get("with", {}).get("python-version", "3.11"))
    assert versions - {"${{ matrix.python }}"} <= SUPPORTED


def test_publishing_needs_no_secret():
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    publish = read_yaml(".github/workflows/release.yaml")["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
    assert "password" not in text


def test_documentation_is_built_with_warnings_as_errors():
    settings = read_yaml(".readthedocs.yaml")
    assert settings["sphinx"]["fail_on_warning"] is True
    assert (ROOT / settings["sphinx"]["configuration"]).is_file()
    assert any("-c constraints.txt" in line for line in settings["build"]["jobs"]["install"])


def test_paths_in_test_settings_exist():
    mutmut = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    paths = [*mutmut["only_mutate"], *mutmut["pytest_add_cli_args_test_selection"]]
    paths += [f"tests/{path.rstrip('/')}" for path in SLOW]
    assert [path for path in paths if not list(ROOT.glob(path))] == []
