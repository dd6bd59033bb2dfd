"""template.yaml as written, and as what CloudFormation gets after the SAM transform."""

import copy
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import decode
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

Json = dict[str, Any]


def _plain(node: Any) -> Any:
    """The parser's nodes carry line numbers, which the transform would trip over."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return str(node) if isinstance(node, str) else node


@pytest.fixture(scope="session")
def template() -> Json:
    decoded, problems = decode(str(TEMPLATE))
    assert not problems
    plain: Json = _plain(decoded)
    return plain


@pytest.fixture(scope="session")
def stack(template: Json) -> Json:
    """What `sam deploy` would send: code replaced by a place in S3, then transformed."""
    packed = copy.deepcopy(template)
    for resource in packed["Resources"].values():
        for source in ("CodeUri", "ContentUri"):
            if source in resource.get("Properties", {}):
                resource["Properties"][source] = "s3://bucket/artefact.zip"
    translator = Translator(
        managed_policy_map={}, sam_parser=Parser(), boto_session=boto3.Session(region_name="us-east-1")
    )
    translated: Json = translator.translate(sam_template=packed, parameter_values={})
    return translated


@pytest.fixture(scope="session")
def resources(stack: Json) -> Json:
    found: Json = stack["Resources"]
    return found
