"""Builds the documentation: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version as version_of
from typing import Any

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


def setup(app: Any) -> None:
    """Append the generated reference to its page."""
    app.connect("source-read", _fill)


def _fill(_app: Any, page: str, source: list[str]) -> None:
    if page == "configuration":
        source[0] += "\n".join(["", *_options(), *_settings()])


def _options() -> Iterator[str]:
    from jupyter_tokens.config.files import TokenProfiles  # noqa: PLC0415 (only for this page)
    from jupyter_tokens.kernel.magics import TokenMagics  # noqa: PLC0415
    from jupyter_tokens.server.app import TokensExtension  # noqa: PLC0415
    from jupyter_tokens.service.app import TokenService  # noqa: PLC0415
    from jupyter_tokens.sources.stores import TokenStore  # noqa: PLC0415

    yield "## Options"
    for configurable in (TokensExtension, TokenProfiles, TokenStore, TokenMagics, TokenService):
        yield from ("", f"### `c.{configurable.__name__}`", "")
        yield from ("| option | type | default | |", "|---|---|---|---|")
        for name, trait in configurable.class_own_traits(config=True).items():
            yield _row(f"`{name}`", trait.info(), f"`{trait.default_value_repr()}`", trait.help)


def _settings() -> Iterator[str]:
    from jupyter_tokens.config.profiles import COMMON  # noqa: PLC0415
    from jupyter_tokens.providers.catalogue import provider_class, provider_ids  # noqa: PLC0415

    yield from ("", "## Settings of every profile", "", "| setting | |", "|---|---|")
    for key, field in COMMON.items():
        yield _row(f"`{key}`", field.help)
    yield from ("", "## Settings and parameters of each provider", "")
    for provider in map(provider_class, provider_ids()):
        schema = provider.schema()
        yield from ("", f"### `{provider.id}`: {provider.title}", "", "| setting | | default | |", "|---|---|---|---|")
        for key, fact in schema["settings"].items():
            kind = "secret" if fact.get("writeOnly") else "required" if key in schema["required"] else ""
            yield _row(f"`{key}`", kind, _default(fact), fact["description"])
        params = schema["params"]
        if params["properties"]:
            yield from ("", "| parameter | | default | |", "|---|---|---|---|")
        for key, fact in params["properties"].items():
            yield _row(f"`{key}`", "required" if key in params["required"] else "", _default(fact), fact["description"])


def _default(fact: dict[str, Any]) -> str:
    return f"`{fact['default']}`" if fact.get("default") not in {None, ""} else ""


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
