"""Docstrings as this package writes them: ``Returns`` may be prose, and single backticks name things of the package.

Napoleon takes the first line under ``Returns`` for a type and every further line for another value. Here that holds
only where a type stands on a line of its own and its description is indented below it.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import NumpyDocstring

PREFIXES = ("spacex.", "spacex.SpaCEX.")


def parse_returns(self: NumpyDocstring, section: str) -> list[str]:
    lines = self._dedent(self._consume_to_next_section())
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > 1 and lines[1].startswith(" "):
        lines = [f"*{lines[0]}*:" if "`" not in lines[0] else f"{lines[0]}:", "", *self._dedent(lines[1:])]
    return [*self._format_block(":returns: ", lines), ""]


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """A name in single backticks: what it names in the package, else plain code (a parameter, a value)."""
    if node.get("refdomain") != "py" or node.get("reftype") != "obj":
        return None
    target = node["reftarget"].replace("sx.", "spacex.", 1) if node["reftarget"].startswith("sx.") else ""
    names = [target] if target else [prefix + node["reftarget"] for prefix in PREFIXES]
    domain = env.get_domain("py")
    for name in names:
        if name in domain.objects:
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    # A name that says it is of the package and is not documented is a mistake: left to the nitpicking.
    return None if node["reftarget"].startswith(("sx.", "spacex.")) else content


def setup(app: Sphinx) -> dict[str, bool]:
    NumpyDocstring._parse_returns_section = parse_returns
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
