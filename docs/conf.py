"""Sphinx's configuration: Markdown by MyST, the furo theme, and every warning an error (see the Makefile)."""

import sys
from pathlib import Path

import pytest_backchannel

sys.path.insert(0, str(Path(__file__).parent))  # for levels.py

project = "pytest-backchannel"
copyright = "2026, the pytest-backchannel authors"
version = release = pytest_backchannel.__version__
extensions = ["myst_parser", "levels"]
html_theme = "furo"
html_title = f"pytest-backchannel {version}"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["build"]
