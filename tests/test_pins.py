"""Every installed package is pinned by version and hash, from any registry."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYER = ROOT / "shared" / "requirements.txt"
PINNED = [LAYER, *sorted((ROOT / "requirements").glob("*.txt"))]


def pins(path: Path) -> dict[tuple[str, str], str]:
    """Versions by package and environment marker."""
    lines = re.findall(r"^([a-z0-9.-]+)==([^\s\\;]+)\s*;?([^\\\n]*)", path.read_text(), re.MULTILINE)
    return {(name, marker.strip()): version for name, version, marker in lines}


@pytest.mark.parametrize("path", PINNED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_packages_are_pinned_by_hash(path: Path) -> None:
    blocks = re.split(r"\n(?=\S)", path.read_text().strip())
    packages = [block for block in blocks if not block.startswith("#")]
    assert len(packages) > 10
    assert [
        block for block in packages if not re.match(r"[a-z0-9.-]+==\S+.*\\\n\s+--hash=sha256:[0-9a-f]{64}", block)
    ] == []


@pytest.mark.parametrize("path", PINNED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_pins_name_no_registry(path: Path) -> None:
    assert not re.search(r"://|-index-url|--find-links", path.read_text())


def test_tests_use_the_layers_versions() -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    assert {key: version for key, version in pins(LAYER).items() if tested.get(key) != version} == {}


def test_layer_has_no_boto3() -> None:
    assert not {"boto3", "botocore"} & {name for name, _ in pins(LAYER)}


def test_direct_dependencies_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {re.split(r"[>=<\[ ]", each)[0] for each in project["dependencies"]}
    assert direct <= {name for name, _ in pins(LAYER)}
