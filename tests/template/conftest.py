"""template.yaml as written, and after the SAM transform."""

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
    """Without the line numbers of the parser's nodes, which break the transform."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return str(node) if isinstance(node, str) else node


@pytest.fixture(scope="session")
def template() -> Json:
    decoded, errors = decode(str(TEMPLATE))
    assert not errors
    plain: Json = _plain(decoded)
    return plain


@pytest.fixture(scope="session")
def stack(template: Json) -> Json:
    """The transformed template, with code locations in S3 as `sam deploy` sets them."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        for source in ("CodeUri", "ContentUri"):
            if source in resource.get("Properties", {}):
                resource["Properties"][source] = "s3://bucket/artefact.zip"
    translator = Translator(
        managed_policy_map={}, sam_parser=Parser(), boto_session=boto3.Session(region_name="us-east-1")
    )
    translated: Json = translator.translate(sam_template=packaged, parameter_values={})
    return translated


@pytest.fixture(scope="session")
def resources(stack: Json) -> Json:
    resources: Json = stack["Resources"]
    return resources
