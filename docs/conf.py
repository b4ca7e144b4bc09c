"""How the documentation is built: offline, from the docstrings, with tutorials that run while it is built."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("MPLBACKEND", "Agg")

import public_names

import pyspiga_geo

project = "pyspiga_geo"
author = "the pyspiga_geo developers"
version = release = pyspiga_geo.__version__
project_copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "matplotlib.sphinxext.plot_directive",
    "mathml",
    "public_names",
    "landmark_table",
    "command_line",
    "tutorial_figures",
    "links",
]
exclude_patterns = ["_build", "_templates", "ablation", "**/GALLERY_HEADER.rst"]
templates_path = ["_templates"]
math_renderer = html_math_renderer = "mathml"

# The API: what each subpackage's __all__ names, one page per subpackage.
autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {"long_values": public_names.long_values()}
autodoc_member_order = "bysource"
# PyG writes the first two for each MessagePassing, and calls the others.
autodoc_default_options = {"exclude-members": "edge_updater, propagate, edge_update, message"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # types stand in the signature
napoleon_use_rtype = False
napoleon_custom_sections = ["Shapes"]

# Names of ours must resolve; those of others have their documentation elsewhere, and nothing is fetched.
nitpicky = True
_OTHERS = "collections|fractions|jsonargparse|lightning|matplotlib|np|npt|numpy|os|pathlib|PIL|typing"
_OTHERS += "|torch(_geometric|metrics)?"
_PRIVATE = r"pyspiga_geo\..*\._"
_OVERLOADS = "Tensor|Nodes|NodeMasks|Items"  # overloads are shown as they are written, unresolved
nitpick_ignore_regex = [("py:.*", rf"({_OTHERS})\..*"), ("py:.*", rf"{_PRIVATE}.*"), ("py:class", _OVERLOADS)]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

plot_formats = [("png", 110)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "auto_tutorials",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "capture_repr": (),
    "show_signature": False,
    "write_computation_times": False,
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "reset_modules": ("matplotlib", "fresh_torch.reset"),
}

html_theme = "pydata_sphinx_theme"
html_title = "pyspiga_geo"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"install": [], "commands": []}  # sections of one page have nothing to list there
html_theme_options = {
    "header_links_before_dropdown": 7,  # all: none under "More"
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
}
