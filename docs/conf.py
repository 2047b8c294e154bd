"""Builds the documentation: `make docs`."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "jupyter_tokens"
author = "The jupyter_tokens maintainers"
project_copyright = author
release = version = version_of("jupyter_tokens")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Types of httpx and the standard library are named, not linked: a build needs no network.
html_theme = "pydata_sphinx_theme"
html_title = "jupyter_tokens"
# All pages in the sidebar: the theme's own shows only the pages below the one that is open.
html_sidebars = {"**": ["sidebar-pages"]}
templates_path = ["_templates"]
napoleon_google_docstring = False
html_theme_options = {
    # The sidebar has them, by task.
    "navbar_center": [],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_end": [],
}
html_show_sourcelink = False
