"""Every Python snippet of the documentation is executed, or at least compiles.

A fence whose first line is ``# test: sample`` is a test module of the sample project (tests/sample); ``# test:
example`` one of the example project. All other Python fences are parts of files, and have to compile.
"""

from __future__ import annotations

import ast
import shutil
import textwrap
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets() -> list[tuple[str, str]]:
    """Each Python fence as a name and its text."""
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix("").as_posix()
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.split()[:1] == ["python"] and token.map:
                found.append((f"{name}:{token.map[0] + 1}", textwrap.dedent(token.content)))
    return found


SNIPPETS = snippets()


def marked(kind: str) -> list[tuple[str, str]]:
    return [(name, text) for name, text in SNIPPETS if text.startswith(f"# test: {kind}\n")]


def write_all(folder: Path, found: list[tuple[str, str]]) -> list[str]:
    names = []
    for name, text in found:
        file = "test_docs_" + "".join(c if c.isalnum() else "_" for c in name) + ".py"
        (folder / file).write_text(text, encoding="utf-8")
        names.append(file)
    return names


def assert_all_passed(result: pytest.RunResult) -> None:
    outcomes = result.parseoutcomes()
    assert result.ret == 0, result.stdout.str()
    assert outcomes.get("passed", 0) >= 1
    assert set(outcomes) <= {"passed", "warning", "warnings", "skipped", "deselected"}


def test_every_snippet_compiles():
    for name, text in SNIPPETS:
        try:
            # Snippets may await at the top, as the body of an async test does.
            compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError as error:
            pytest.fail(f"{name}: {error}")


def test_the_snippets_run_in_the_sample_project(project):
    project.ini("asyncio_mode = auto")
    names = write_all(project.path, marked("sample"))
    if not names:
        pytest.skip("no snippet is marked '# test: sample'")
    assert_all_passed(project.run("-m", "not celery_integration", *names))


def test_the_snippets_run_in_the_example_project(pytester):
    names = marked("example")
    if not names:
        pytest.skip("no snippet is marked '# test: example'")
    shutil.copytree(ROOT / "example", pytester.path / "example", ignore=shutil.ignore_patterns("__pycache__", "media"))
    folder = pytester.path / "example"
    files = write_all(folder, names)
    pytester.chdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert_all_passed(pytester.runpytest_subprocess("-m", "not celery_integration", *files, timeout=120))
