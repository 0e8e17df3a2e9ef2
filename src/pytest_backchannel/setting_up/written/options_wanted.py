"""The options of pytest that a project needs."""

from __future__ import annotations

from ..found_project import Project


def wanted_options(project: Project) -> dict[str, str]:
    """The values, by key; those of keys that the project has already are among them."""
    wanted = {"DJANGO_SETTINGS_MODULE": project.settings.tests}
    if project.has_asyncio:
        wanted |= {"asyncio_mode": "auto", "asyncio_default_fixture_loop_scope": "function"}
    if not project.pytest.is_there:
        wanted["addopts"] = "--strict-markers --tb=short"
    if not any(project.settings.production in remark for remark in project.remarks):
        wanted["backchannel_production_settings"] = project.settings.production
    if project.found_app:
        wanted["backchannel_celery_app"] = project.found_app
    return wanted
