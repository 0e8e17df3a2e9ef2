"""The public surface: each name is there, documented, loaded when it is asked for; docs and example need no other."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import pytest_backchannel
import pytest_backchannel.errors
import pytest_backchannel.typing
from pytest_backchannel.plugin import FIXTURE_MODULES

ROOT = Path(__file__).parents[2]
PUBLIC = {
    module.__name__: module for module in (pytest_backchannel, pytest_backchannel.errors, pytest_backchannel.typing)
}
LAZY = [pytest_backchannel, pytest_backchannel.typing]
NAMES = [(name, public) for name, module in PUBLIC.items() for public in module.__all__]
OPTIONAL = (
    "django",
    "celery",
    "kombu",
    "channels",
    "asgiref",
    "redis",
    "time_machine",
    "msgpack",
    "mirakuru",
    "uvicorn",
)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -------------------------------------------------------------------- each name


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_each_public_name_is_there_and_has_a_docstring(module, name):
    found = getattr(PUBLIC[module], name)
    assert name in dir(PUBLIC[module])
    assert name == "__version__" or found.__doc__


@pytest.mark.parametrize("module", LAZY)
def test_a_public_name_is_what_its_module_has(module):
    for name, where in module._MODULES.items():
        assert getattr(module, name) is getattr(import_module(where, "pytest_backchannel"), name)


@pytest.mark.parametrize("module", LAZY)
@pytest.mark.parametrize("what", ["for the run", "for type checkers"])
def test_the_list_and_both_tables_have_the_same_names(module, what):
    listed = [name for name in module.__all__ if name != "__version__"]
    assert module.__all__ == sorted(module.__all__)
    found = module._MODULES if what == "for the run" else static_imports(module)
    assert found == {name: module._MODULES[name] for name in listed}


def static_imports(module):
    """What type checkers see: the imports below ``if TYPE_CHECKING``, as the other table has them."""
    (block,) = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom) and node.level]
    # Only "import X as X" exports a name to type checkers.
    return {alias.asname: f".{node.module}" for node in imports for alias in node.names}


@pytest.mark.parametrize("module", PUBLIC)
def test_a_misspelt_name_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nonesuch'"):
        _ = PUBLIC[module].Nonesuch


@pytest.mark.parametrize("module", PUBLIC)
def test_importing_it_imports_none_of_what_it_tests(module):
    assert run(f"import {module}, sys; print(*[name for name in {OPTIONAL!r} if name in sys.modules])") == ""


def test_importing_the_package_loads_no_module_of_its_own():
    code = "import pytest_backchannel, sys; print(*[n for n in sys.modules if n.startswith('pytest_backchannel.')])"
    assert run(code) == ""


@pytest.mark.parametrize(
    ("missing", "module", "name", "extra"),
    [
        ("celery", "pytest_backchannel", "TaskQueue", "celery"),
        ("celery", "pytest_backchannel", "EagerMode", "celery"),
        ("channels", "pytest_backchannel", "strict_channel_layers", "channels"),
        ("channels", "pytest_backchannel.typing", "StrictLayer", "channels"),
        ("mirakuru", "pytest_backchannel.typing", "RedisServer", "servers"),
    ],
)
def test_a_name_whose_extra_is_missing_names_the_extra(missing, module, name, extra):
    code = f"""
import sys
class Finder:
    # As if it were not installed.
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Finder())
try:
    from {module} import {name}
except ImportError as error:
    print(error)
"""
    said = run(code)
    assert said.startswith(f"{module}.{name} needs {missing}")
    assert said.endswith(f"which is not installed: pip install 'pytest-backchannel[{extra}]'")


# ---------------------------------------------------------- the type of each fixture


def fixture_types():
    for name in FIXTURE_MODULES:
        for function in ast.parse(inspect.getsource(import_module(name))).body:
            if isinstance(function, ast.FunctionDef) and "pytest.fixture" in map(ast.unparse, function.decorator_list):
                gives = function.returns
                if isinstance(gives, ast.Subscript):  # Iterator[X], Generator[X, None, None]
                    gives = gives.slice.elts[0] if isinstance(gives.slice, ast.Tuple) else gives.slice
                yield function.name, set(ast.unparse(gives).split(" | ")) - {"None"}


@pytest.mark.parametrize(("fixture", "types"), list(fixture_types()))
def test_what_a_fixture_gives_can_be_annotated(fixture, types):
    assert types <= set(pytest_backchannel.typing.__all__)
    assert types or fixture in {"celery_eager", "db_async"}


# --------------------------------------------------- docs, README and example use no other


def sources():
    """Each Python text that readers see, by where it stands."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "example").rglob("*.md"))]:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.split()[:1] == ["python"] and token.map:
                yield f"{page.relative_to(ROOT)}:{token.map[0] + 1}", textwrap.dedent(token.content)
    for file in [*sorted((ROOT / "docs").rglob("*.py")), *sorted((ROOT / "example").rglob("*.py"))]:
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def imported(text):
    """What a text imports of ours, each as module and name; the name is empty for the module itself."""
    # Snippets may await at the top, as the body of an async test does.
    tree = compile(text, "snippet", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "pytest_backchannel")
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "pytest_backchannel":
            yield from ((node.module, alias.name) for alias in node.names)


def is_public(module, name):
    if module in PUBLIC and (not name or name in PUBLIC[module].__all__):
        return True
    return f"{module}.{name}" in PUBLIC  # from pytest_backchannel import errors


def test_what_readers_see_imports_only_what_is_public():
    private = [
        f"{where}: {module}.{name}"
        for where, text in sources()
        for module, name in imported(text)
        if not is_public(module, name)
    ]
    assert private == []


def test_what_is_told_of_a_name_of_ours_is_told_of_a_public_one():
    """In the prose as well: ``pytest_backchannel.errors.BlockedLoop`` and the like."""
    private = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "example").rglob("*.md"))]:
        for dotted in re.findall(r"\bpytest_backchannel(?:\.\w+)+", page.read_text(encoding="utf-8")):
            module, _, name = dotted.rpartition(".")
            if dotted not in PUBLIC and not is_public(module, name):
                private.append(f"{page.relative_to(ROOT)}: {dotted}")
    assert private == []


def test_the_reference_lists_every_public_name_and_no_other():
    page = (ROOT / "docs" / "reference" / "public.md").read_text(encoding="utf-8")
    listed = {}
    for section in page.split("\n## ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE)
        listed[section.split("\n")[0].strip("`")] = sorted(name for name, told in rows if told.strip())
    assert listed == {name: module.__all__ for name, module in PUBLIC.items()}
