"""Public names have complete docstrings and are listed in the API reference, the gallery and the table of slots."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import spacex as sx
from spacex import _adata

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("pp", "tl", "pl", "get", "io", "datasets")


def public() -> dict[str, Any]:
    """Return every function and class that users call, by its name below ``spacex``."""
    objects = {
        f"{package}.{name}": getattr(getattr(sx, package), name)
        for package in PACKAGES
        for name in getattr(sx, package).__all__
    }
    top = {name: getattr(sx, name) for name in sx.__all__}
    objects |= {name: value for name, value in top.items() if inspect.isfunction(value) or inspect.isclass(value)}
    for kind in (sx.SpaCEX, sx.Config):
        methods = inspect.getmembers(kind, predicate=callable)
        objects |= {f"{kind.__name__}.{name}": value for name, value in methods if not name.startswith("_")}
    return objects


PUBLIC = public()
CALLED = {name: value for name, value in PUBLIC.items() if not inspect.isclass(value)}


def has_section(text: str, title: str) -> bool:
    return re.search(rf"^{title}\n-{{{len(title)}}}$", text, re.MULTILINE) is not None


def undocumented(function: Callable[..., Any]) -> list[str]:
    """Return the sections and parameters that are missing in the docstring of a function."""
    text, signature = inspect.getdoc(function) or "", inspect.signature(function)
    missing = [] if has_section(text, "Examples") and ">>> " in text else ["Examples"]
    names = [name for name in signature.parameters if name not in ("self", "cls")]
    if names and not has_section(text, "Parameters"):
        missing.append("Parameters")
    parameters = re.split(r"\n\n\w[^\n]*\n-{3,}\n", text.split("Parameters\n", 1)[-1])[0]
    described = {name for line in parameters.splitlines() if not line.startswith(" ") for name in line.split(", ")}
    missing += [name for name in names if name not in described]
    if signature.return_annotation not in (None, "None") and not has_section(text, "Returns"):
        missing.append("Returns")
    return missing


def test_missing_sections_are_found():
    def bare(a: int, *, b: int = 0) -> int:
        """Do it.

        Parameters
        ----------
        a
            A number.
        """
        return a + b

    assert undocumented(bare) == ["Examples", "b", "Returns"]


@pytest.mark.parametrize("name", CALLED)
def test_docstrings_are_complete(name):
    assert undocumented(CALLED[name]) == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in CALLED])
def test_classes_have_an_example(name):
    assert has_section(inspect.getdoc(PUBLIC[name]) or "", "Examples")


def reference() -> set[str]:
    """Return the names that the pages of the reference list, by their full names."""
    names: set[str] = set()
    for page in (DOCS / "api").glob("*.md"):
        module = ""
        for line in page.read_text().splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif module and (entry := re.fullmatch(r"   ([A-Za-z_]+)", line)):
                names.add(f"{module}.{entry.group(1)}")
    return names


def test_the_reference_lists_exactly_the_public_names():
    listed = reference()
    # Methods are on the page of their class, whose template lists all of them.
    documented = {f"spacex.{name}" for name in PUBLIC if not name.startswith(("SpaCEX.", "Config."))}
    assert documented <= listed
    for name in listed - documented:
        module, _, last = name.rpartition(".")
        __import__(module)
        assert hasattr(sys.modules[module], last)


def test_the_gallery_draws_every_plot():
    text = (DOCS / "gallery.md").read_text()
    drawn = set(re.findall(r"sx\.pl\.(\w+)\(", text))
    assert drawn == set(sx.pl.__all__)
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == set(sx.pl.__all__)


def test_every_slot_is_in_the_table():
    text = (DOCS / "slots.md").read_text()
    constants = {name: value for name, value in vars(_adata.keys).items() if name.isupper()}
    names = {value for name, value in constants.items() if name not in ("UNASSIGNED", "SVG_PREFIX")}
    assert len(names) > 10
    assert [name for name in sorted(names) if f'"{name}"' not in text] == []


def test_every_package_is_in_the_module_overview():
    text = (DOCS / "maintainer.md").read_text()
    source = ROOT / "src" / "spacex"
    packages = {path.stem for path in source.iterdir() if path.is_dir() or path.suffix == ".py"} - {
        "__init__",
        "__pycache__",
        "py",
    }
    assert [name for name in sorted(packages) if not re.search(rf"\b{name}\b", text)] == []


def figures(*pages: str) -> set[str]:
    """Return the numbers with a decimal point in some pages, without a zero before the point."""
    text = " ".join((ROOT / page).read_text() for page in pages)
    return {number.removeprefix("0") for number in re.findall(r"(?<![\w.])\d*\.\d+", text)}


def test_comparison_quotes_measured_figures():
    measured = figures("README.md", "docs/method.md", "docs/scoreboard.md")
    compared = figures("docs/comparison.md")
    assert len(compared) > 50
    assert compared - measured == set(), "update docs/comparison.md after new measurements"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_tutorials_are_run_and_listed():
    pages = sorted((DOCS / "tutorials").glob("[0-9]_*.md"))
    listed = (DOCS / "tutorials" / "index.md").read_text()
    assert len(pages) >= 6
    for page in pages:
        assert "file_format: mystnb" in page.read_text()
        assert f"({page.name})" in listed
        assert f"\n{page.stem}\n" in listed
    settings = (DOCS / "conf.py").read_text()
    assert "nb_execution_raise_on_error = True" in settings
    assert "sphinx -W" in (ROOT / "Makefile").read_text()


def test_documentation_tools_are_pinned():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {re.split(r"[>=<]", name)[0] for name in extras["docs"]} <= pinned
