"""Puts the proposal together: what the project lacks, file by file, and the tests that have passed when tried."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .found_project import Project
from .known_findings import OPTION, known_findings
from .proposal import Change, Kept, Proposal
from .trying.first_tests import FirstTests, first_tests
from .written.conftest_file import conftest_text
from .written.options_wanted import wanted_options
from .written.settings_file import settings_said, settings_text
from .written.workflow_file import NAME, workflow_text

_RUNS_TESTS = re.compile(r"\bpytest\b|\btox\b|\bnox\b|manage\.py test|make test")


def propose(project: Project, progress: Callable[[str], None]) -> Proposal:
    """What to write.

    Args:
        project: for which.
        progress: is told what takes time.

    Raises:
        BackchannelError: pytest's configuration can't be added to.
    """
    proposal = Proposal(remarks=list(project.remarks))
    _propose_settings(project, proposal)
    _propose_options(project, proposal)
    folder = tests_folder(project)
    has_conftest = any((one / "conftest.py").exists() for one in (project.root, folder))

    def conftest(user: Sequence[str] | None) -> Mapping[Path, str]:
        return {} if has_conftest else {project.root / "conftest.py": conftest_text(user)}

    mode = project.pytest.options.get("asyncio_mode", "auto")
    found = first_tests(
        project,
        {change.path: change.after for change in proposal.changes},
        folder,
        conftest=conftest,
        is_marked=mode != "auto",
        progress=progress,
    )
    for path, text in conftest(found.user).items():
        proposal.changes.append(Change(path=path, before=None, after=text))
    _propose_tests(proposal, found)
    _propose_workflow(project, proposal, has_tests=found.has_tests, has_integration=found.has_integration)
    _propose_ignored(project, proposal, progress)
    return proposal


def _propose_settings(project: Project, proposal: Proposal) -> None:
    file = project.settings.tests_file
    used = project.pytest.options.get("DJANGO_SETTINGS_MODULE", project.settings.tests)
    text = settings_text(project)
    if file.exists():
        there = file.read_text(encoding="utf-8", errors="replace")
        lacking = [part for part in settings_said(project).values() if not _is_said(part, there)]
        proposal.kept.append(Kept(path=file, lacks=[line for part in lacking for line in part.splitlines()]))
    elif used != project.settings.tests:
        # A module that no run reads helps nobody.
        proposal.kept.append(
            Kept(
                path=project.pytest.file,
                lacks=[
                    f"# pytest runs with {used}; with DJANGO_SETTINGS_MODULE = {project.settings.tests} it would read "
                    f"{project.shown(file)}:",
                    *text.splitlines(),
                ],
            )
        )
    else:
        proposal.changes.append(Change(path=file, before=None, after=text))


def _is_said(part: str, text: str) -> bool:
    """Whether a module says something of all that a part sets, whatever it says."""
    names = re.findall(r"^([A-Z_]+) = ", part, re.MULTILINE)
    wanted = names[-1:] if "SERVER" in names or "TEST_DATABASE" in names else names
    return all(re.search(rf"\b{name}\b", text) for name in wanted)


def _propose_options(project: Project, proposal: Proposal) -> None:
    setup, wanted = project.pytest, wanted_options(project)
    after = setup.with_added(wanted)
    if after != (setup.text or ""):
        proposal.changes.append(Change(path=setup.file, before=setup.text, after=after))
    others = [
        f"{key} = {value}  # it says {setup.options[key]}"
        for key, value in wanted.items()
        if setup.options.get(key, value) != value and key != "DJANGO_SETTINGS_MODULE"
    ]
    if others:
        proposal.kept.append(Kept(path=setup.file, lacks=others))


def _propose_ignored(project: Project, proposal: Proposal, progress: Callable[[str], None]) -> None:
    """Let ``backchannel check`` begin with silence: what it says of the project as it is, is told here."""
    setup = project.pytest
    if OPTION in setup.options or not setup.file.resolve().is_relative_to(project.root.resolve()):
        return
    progress("asking backchannel check …")
    known = known_findings(project.root, proposal.changes)
    if known.trouble:
        proposal.remarks.append(f"backchannel check could not be asked: {known.trouble}")
    if not known.codes:
        return
    after = setup.with_added({**wanted_options(project), OPTION: " ".join(known.codes)})
    proposal.changes = [change for change in proposal.changes if change.path != setup.file]
    proposal.changes.insert(0, Change(path=setup.file, before=setup.text, after=after))
    proposal.checked = known.lines


def tests_folder(project: Project) -> Path:
    """Where the project has its tests: the first of ``testpaths`` that is a folder of its own, else ``tests``."""
    base = project.pytest.file.parent
    for name in project.pytest.options.get("testpaths", "").split():
        folder = base / name
        if folder.is_dir() and folder != project.root and project.root in folder.parents:
            return folder
    return project.root / ("test" if (project.root / "test").is_dir() else "tests")


def _propose_tests(proposal: Proposal, found: FirstTests) -> None:
    for path, text in found.files.items():
        proposal.changes.append(Change(path=path, before=None, after=text))
    proposal.tests = list(found.files)
    proposal.unwritten = found.unwritten
    proposal.has_integration = found.has_integration
    proposal.tested = found.tested
    proposal.trouble = found.trouble
    if found.trouble:
        proposal.remarks.append(f"no test could be tried: {found.trouble}; run backchannel init again when it can")


def _propose_workflow(project: Project, proposal: Proposal, *, has_tests: bool, has_integration: bool) -> None:
    folder = project.repository / NAME.parent
    path = project.repository / NAME
    others = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")]) if folder.is_dir() else []
    running = [one for one in others if _RUNS_TESTS.search(one.read_text(encoding="utf-8", errors="replace"))]
    text = workflow_text(project, has_tests=has_tests, has_integration=has_integration)
    if path.exists() or running:
        there = path if path.exists() else running[0]
        says = there.read_text(encoding="utf-8", errors="replace")
        lacks = [] if "celery_integration" in says else [line for line in text.splitlines() if "-m pytest" in line]
        proposal.kept.append(Kept(path=there, lacks=lacks))
    else:
        proposal.changes.append(Change(path=path, before=None, after=text))
