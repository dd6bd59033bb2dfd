"""The language of the code: words that this code once used in a meaning of its own do not return.

`docs/glossary.md` has the terms to use.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ("shared", "functions", "admin", "apidocs", "local", "bench")
FOLDERS = (*SHIPPED, "tests")
FILES = ("Makefile", "pyproject.toml", "samconfig.toml", "template.yaml")

NAMES = {
    *("asked", "booked", "books", "charge", "found", "given", "gone", "known", "lost", "made", "movement", "seen"),
    *("swept", "waits"),
}
"""Not a whole name. Longer names may contain these words: `NotFound`, `lost_answer`, `first_seen`."""

WORDS = {"begun", "came", "chance", "goes", "heard", "leash", "said", "stands", "told", "troubled", "whoever", "whose"}
"""Not a part of a name either: neither `told` nor `told_at`."""

CLASSES = {"Advance", "Books", "Charge", "Conclude", "Pace", "Page", "Room", "Standing", "Substitute"}
MODULES = {"announcements", "books", "follow", "interrupt", "leash", "pace", "screen", "specimen", "stage", "standing"}

PROSE = re.compile(
    r"\b(anew|how-manieth|nobody|somebody|whoever|whomever|be it|once more|put back|what came of"
    r"|(is|are|was|were|be) told)\b",
    re.IGNORECASE,
)

MAX_TEST_NAME = 60
"""The aim is about 30."""

CALLABLE_CLASSES = {"tests/simulator/clock.py: Clock"}
"""The classes with `__call__`, which stand for an injected function. Use cases have named methods."""

WORD = re.compile(r"[A-Z]?[a-z]+")


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def located(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def identifiers(path: Path) -> Iterator[tuple[int, str]]:
    """What the file names: classes, functions, parameters, variables, attributes. A test's name is a sentence."""
    for node in nodes(path):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if not name.startswith("test_"):
                    yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def is_dialect(name: str) -> bool:
    words = {word.lower() for word in WORD.findall(name)}
    return name.strip("_") in NAMES or name in CLASSES or not words.isdisjoint(WORDS)


def test_rule_finds_dialect_names() -> None:
    assert [name for name in ("_waits", "told_at", "Page", "WhatCame") if not is_dialect(name)] == []
    assert [name for name in ("page", "unknown", "NotFound", "lost_answer", "became") if is_dialect(name)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_are_plain(folder: str) -> None:
    dialect = [
        f"{located(path)}:{line} {name}"
        for path in python_files(folder)
        for line, name in identifiers(path)
        if is_dialect(name)
    ]
    assert dialect == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_modules_have_plain_names(folder: str) -> None:
    assert [located(path) for path in python_files(folder) if path.stem in MODULES] == []


@pytest.mark.parametrize("folder", [*SHIPPED, *FILES])
def test_prose_is_plain(folder: str) -> None:
    """In comments, docstrings and texts, including those of the catalogue and of the template."""
    root = ROOT / folder
    paths = (
        [root]
        if root.is_file()
        else [path for path in root.rglob("*") if path.suffix in {".md", ".py", ".toml", ".yaml"}]
    )
    dialect = [
        f"{located(path)}:{number} {match[0]}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := PROSE.search(line))
    ]
    assert dialect == []


def test_names_of_tests_are_short() -> None:
    names = [
        node.name
        for path in python_files("tests")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert [name for name in names if len(name) > MAX_TEST_NAME] == []


def test_use_cases_have_named_methods() -> None:
    callable_classes = {
        f"{located(path)}: {node.name}"
        for folder in FOLDERS
        for path in python_files(folder)
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(member, ast.FunctionDef) and member.name == "__call__" for member in node.body)
    }
    assert callable_classes == CALLABLE_CLASSES
