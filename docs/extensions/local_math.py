"""Formulas as MathML, which browsers draw themselves: no script is loaded from elsewhere, and pages work offline."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def converted(node: nodes.Element, **options: bool) -> str:
    """MathML of a formula; a warning, which fails the build, for one that cannot be read."""
    try:
        return tex2mathml(node.astext(), **options)
    except MathError as error:
        logger.warning("formula cannot be read: %s", error, location=node)
        return ""


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(converted(node))
    raise nodes.SkipNode


def visit_block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(converted(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
