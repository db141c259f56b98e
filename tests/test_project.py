"""What holds for the project as a whole."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "operator" / "bizrq"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400


def test_operator_is_no_package():
    """It would shadow the standard library's operator."""
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_says_what_it_answers_and_is_short(module):
    text = module.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module begins with the question it answers"
    assert text.count("\n") <= LONGEST, f"over {LONGEST} lines: two questions"


def test_nothing_names_a_package_registry():
    """Requirements are pinned by hash, wherever they are fetched from."""
    hosts = re.compile(r"pypi\.org|pythonhosted|proxy\.golang|sum\.golang|registry\.npmjs|static\.crates\.io")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    named = [
        name
        for name in files
        if name != "tests/test_project.py"
        and (ROOT / name).is_file()
        and hosts.search((ROOT / name).read_text(errors="ignore"))
    ]
    assert named == []


def test_every_requirement_is_pinned_with_hashes():
    for name in ("runtime", "build", "dev"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        pins = re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==\S+.*$", text, re.MULTILINE)
        assert pins
        assert len(re.findall(r"^    --hash=sha256:", text, re.MULTILINE)) >= len(pins)


def test_the_core_imports_no_clock_and_no_io():
    """The layers are checked by import-linter in `make check`; this is the part that must never slip."""
    banned = {"time", "random", "asyncio", "socket", "os", "aiohttp", "kopf", "kubernetes"}
    for module in (PACKAGE / "domain").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not banned & {name.split(".")[0] for name in names}, module.name
