"""The browser of this machine: headless Chromium or Chrome, and the driver that Selenium needs."""

from __future__ import annotations

import os
import re
import subprocess

from pytest_backchannel.harness.real_servers import missing
from pytest_backchannel.servers.process import find_binary

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: root can't have it (crbug.com/638180), nor can a container without user namespaces. The rest keeps the
# browser from talking to anyone but the site.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def find_browser() -> str:
    """The path of a browser; without one the test is skipped, and fails in a CI."""
    return find_binary(*BROWSERS) or missing("no Chromium on PATH: apt-get install chromium")


def find_driver() -> tuple[str, str]:
    """The paths of chromedriver and of a browser of its version; without them the test skips, and fails in a CI."""
    # GitHub's runners have several browsers, and name the driver's folder.
    folder = os.environ.get("CHROMEWEBDRIVER", "")
    driver = find_binary("chromedriver", "chromium.chromedriver", folders=[folder] if folder else [])
    if driver is None:
        missing(
            "no chromedriver on PATH, which Selenium needs: apt-get install chromium-driver (on Ubuntu "
            "chromium-chromedriver)"
        )
    find_browser()
    versions = {found: _major(found) for name in BROWSERS if (found := find_binary(name))}
    wanted = _major(driver)
    matching = [browser for browser, version in versions.items() if version == wanted]
    if not matching:
        found = ", ".join(f"{browser} is {version}" for browser, version in versions.items())
        missing(f"{driver} drives version {wanted} alone, and {found}: install both from one source")
    return driver, matching[0]


def _major(binary: str) -> str:
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"(\d+)\.\d+\.\d+", done.stdout)
    return found[1] if found else "unknown"
