"""The child process that imports one settings module, with everything real out of reach, and says what it has."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..inventory.child import guards
from ..inventory.child.telling import first_line


def described(module: str) -> dict[str, Any]:
    """What a settings module has, as plain data without secrets; or why it can't be imported."""
    try:
        values = {name: value for name, value in vars(importlib.import_module(module)).items() if name.isupper()}
    except BaseException as error:  # SystemExit, too: some settings check the environment
        return {"failed": first_line(error)}
    databases = values.get("DATABASES") or {}
    default = databases.get("default") or {}
    layers = values.get("CHANNEL_LAYERS") or {}
    return {
        "names": sorted(values),
        "secret_key": bool(values.get("SECRET_KEY")),
        "apps": [str(app) for app in values.get("INSTALLED_APPS") or ()],
        "engine": guards.vendor_of(str(default.get("ENGINE", ""))) if default else "",
        "test_database": bool((default.get("TEST") or {}).get("NAME")),
        "layers": {str(alias): str(layer.get("BACKEND", "")) for alias, layer in layers.items()},
        "asgi": str(values.get("ASGI_APPLICATION") or ""),
        "https": values.get("SECURE_SSL_REDIRECT") is True,
    }


def main(module: str, target: str) -> None:
    """Write it to a file."""
    guards.install()
    # manage.py has its own folder first, and so has every server that is started there.
    sys.path.insert(0, os.getcwd())
    Path(target).write_text(json.dumps(described(module), default=repr), encoding="utf-8")
    os._exit(0)  # what the settings have started is not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
