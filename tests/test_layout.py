"""Rules for imports and files: imports go one way, and each external library is used in one file."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "shared" / "afterthought"
FUNCTIONS = sorted((ROOT / "functions").glob("*/app.py"))
CODE = sorted([*PACKAGE.rglob("*.py"), *FUNCTIONS])

# The parts of the package that each part may import. An adapter may import only the ports of the services: the
# Protocols that it implements, and their values.
MAY_IMPORT = {
    "domain": {"domain"},
    "catalogue": {"domain", "catalogue"},
    "services": {"domain", "catalogue", "services"},
    "adapters": {"domain", "adapters", "services.ports"},
    "composition": {"domain", "catalogue", "services", "adapters", "composition"},
}

EXTERNAL = {
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "httpx2",
    "openai",
    "os",
    "socket",
    "subprocess",
    "urllib.request",
}
"""Modules that access resources outside the process. Only adapters and functions may import them."""

CALL_MODELS = {"worker", "direct"}
"""The functions that load the openai SDK."""

MAX_LINES = 300


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The full names of all imports of a file, also inside functions."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)} imports a sibling by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def importers_of(module: str) -> set[str]:
    return {named(path) for path in CODE if any(within(name, module) for name in imports(path))}


def test_expected_functions_and_parts_exist() -> None:
    assert {path.parent.name for path in FUNCTIONS} == {
        *("api", "provider_events", "worker", "direct", "notifier", "webhooks", "sweeper")
    }
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_go_one_way(part: str) -> None:
    own_imports = [
        (named(path), name)
        for path in sorted((PACKAGE / part).rglob("*.py"))
        for name in imports(path)
        if within(name, "afterthought")
    ]
    allowed = [f"afterthought.{each}" for each in MAY_IMPORT[part]]
    assert [(path, name) for path, name in own_imports if not any(within(name, module) for module in allowed)] == []


@pytest.mark.parametrize("part", ["domain", "catalogue", "services"])
def test_rules_import_nothing_external(part: str) -> None:
    files = {named(path) for path in (PACKAGE / part).rglob("*.py")}
    assert {module: users for module in EXTERNAL if (users := importers_of(module) & files)} == {}


@pytest.mark.parametrize("part", ["domain", "services"])
def test_time_and_random_are_injected(part: str) -> None:
    for path in sorted((PACKAGE / part).rglob("*.py")):
        assert not {"random", "secrets", "time", "uuid"} & {name.split(".")[0] for name in imports(path)}, named(path)
        clock_reads = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"date", "datetime"}
            and node.func.attr in {"now", "today", "utcnow"}
        ]
        assert clock_reads == [], f"{named(path)} reads the clock itself"


def test_one_file_imports_openai() -> None:
    assert importers_of("openai") == {"shared/afterthought/adapters/openai.py"}


def test_openai_adapter_is_loaded_by_callers() -> None:
    assert importers_of("afterthought.adapters.openai") == {"shared/afterthought/composition/run.py"}
    assert importers_of("afterthought.composition.run") == {f"functions/{name}/app.py" for name in CALL_MODELS}


def test_one_file_reads_the_environment() -> None:
    readers = {
        named(path)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"environ", "environb", "getenv"}
    }
    assert readers == {"shared/afterthought/adapters/settings.py"}


def test_functions_import_layer_and_libraries() -> None:
    """Lambda has no package of functions and no folder named shared."""
    for path in FUNCTIONS:
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"admin", "app", "bench", "functions", "local", "shared", "tests"}, named(path)
        siblings = {each.stem for each in path.parent.glob("*.py")} - {"app"}
        assert not roots & siblings, named(path)


def test_service_imports_no_tooling() -> None:
    for module in ("admin", "bench", "local", "shared", "tests"):
        assert importers_of(module) == set()


def test_files_have_at_most_300_lines() -> None:
    long = {named(path): lines for path in CODE if (lines := len(path.read_text().splitlines())) > MAX_LINES}
    assert long == {}


@pytest.mark.parametrize("name", [path.parent.name for path in FUNCTIONS])
def test_functions_load_as_in_lambda(name: str) -> None:
    """The function loads as the top-level module `app`, with only the layer and an empty environment. A module that
    reads a setting or creates a client at import therefore fails. Only two functions may load the openai SDK, which
    takes half a second and 50 MB at a cold start."""
    script = "import sys, app; print(callable(app.handler), 'openai' in sys.modules, 'functions' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "functions" / name), str(PACKAGE.parent)]),
            "AWS_EC2_METADATA_DISABLED": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split() == ["True", str(name in CALL_MODELS), "False"]
