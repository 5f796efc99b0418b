"""How the documentation is built: `make docs`. Everything is local, so that it builds without a network."""

import os
import sys
from pathlib import Path

import spacex

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

# Notebooks run in kernels of their own: one thread each, whatever the machine, so that figures and times repeat.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# Of tqdm, where notebooks have no widgets: it says nothing about what is shown, and names the builder's folders.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

project = "SpaCEX"
author = "SpaCEX developers"
copyright = author
version = release = spacex.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "local_math",
    "prose_docstrings",
]
exclude_patterns = ["_build", "_templates", "extensions"]
templates_path = ["_templates"]
nitpicky = True
# Not linked: types of other packages, since the build does not use the network, and internal states.
nitpick_ignore_regex = [
    ("py:(class|obj|data)", r"(?!spacex\.).*|spacex\.(embedding\.state\.Fitted|reference\.state\.Reference)State")
]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_render_markdown_format = "myst"

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of named tuples are documented once
default_role = "py:obj"  # `name` in a docstring: a link where that is something, else code (prose_docstrings)

html_theme = "furo"
html_title = f"SpaCEX {release}"
html_static_path = ["_static"]
html_css_files = ["spacex.css"]
html_copy_source = False
html_show_sourcelink = False
