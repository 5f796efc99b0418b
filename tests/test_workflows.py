"""What runs elsewhere: the workflows can be read, and test the versions of Python that the package says it supports."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = {
    found.group(1)
    for text in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text))
}


def loaded(name: str) -> dict[Any, Any]:
    return yaml.safe_load((ROOT / name).read_text())


def steps_of(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def lanes() -> list[dict[str, Any]]:
    return loaded(".github/workflows/test.yaml")["jobs"]["test"]["strategy"]["matrix"]["include"]


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["build", "mutants", "release", "test"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_can_be_read(path):
    workflow = yaml.safe_load(path.read_text())
    assert True in workflow  # YAML takes the bare word `on` for a boolean, and GitHub takes it for itself
    assert all(("run" in step) != ("uses" in step) for step in steps_of(workflow))
    needed: set[str] = set()
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        needed |= {needs} if isinstance(needs, str) else set(needs)
    assert needed <= set(workflow["jobs"])


def test_all_supported_versions_are_tested_and_no_others():
    assert {lane["python"] for lane in lanes() if not lane["prerelease"]} == SUPPORTED
    assert PROJECT["requires-python"] == f">={min(SUPPORTED, key=lambda text: int(text.split('.')[1]))}"


def test_only_the_pre_release_lane_may_fail():
    assert [lane["options"] for lane in lanes() if lane["prerelease"]] == ["--pre"]
    job = loaded(".github/workflows/test.yaml")["jobs"]["test"]
    assert job["continue-on-error"] == "${{ matrix.prerelease }}"


def test_versions_elsewhere_are_supported_ones():
    elsewhere = {loaded(".readthedocs.yaml")["build"]["tools"]["python"]}
    for path in WORKFLOWS:
        for step in steps_of(yaml.safe_load(path.read_text())):
            elsewhere.add(step.get("with", {}).get("python-version", "3.11"))
    assert elsewhere - {"${{ matrix.python }}"} <= SUPPORTED


def test_publishing_needs_no_secret():
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    publish = loaded(".github/workflows/release.yaml")["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
    assert "password" not in text


def test_documentation_is_built_with_warnings_as_errors():
    settings = loaded(".readthedocs.yaml")
    assert settings["sphinx"]["fail_on_warning"] is True
    assert (ROOT / settings["sphinx"]["configuration"]).is_file()
    assert any("-c constraints.txt" in line for line in settings["build"]["jobs"]["install"])
