"""The OpenAPI document describes the API completely and correctly."""

import ast
import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from afterthought.catalogue import default_catalogue
from afterthought.domain import errors
from afterthought.domain.errors import RequestRefused
from afterthought.domain.jobs.attempt import Attempt, CallSpec
from afterthought.domain.jobs.job import Job
from afterthought.domain.jobs.spec import JobSpec
from afterthought.domain.jobs.status import Failure
from afterthought.domain.limits.rate_limit import Limits, RateState, WindowUsage, rate_limited
from afterthought.domain.request import body
from afterthought.domain.request.admission import MIN_OUTPUT_TOKENS
from afterthought.domain.request.options import AfterthoughtOptions
from afterthought.domain.request.request import UNSUPPORTED_PARAMETERS, CreateResponse
from afterthought.domain.webhooks import signature
from afterthought.domain.wire.deprecation import deprecation_headers
from afterthought.domain.wire.response import render
from afterthought.domain.wire.usage_report import PARAMETERS, parse_query
from afterthought.services.query.models import ModelReader
from afterthought.services.run.await_call import CHECK_SECONDS
from apidocs import examples
from apidocs.__main__ import build
from apidocs.document import document, errors_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "shared" / "afterthought"
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@cache
def openapi() -> dict[str, Any]:
    api: dict[str, Any] = json.loads(json.dumps(document()))
    return api


def closed(value: Any) -> Any:
    """The schemas without additional properties: a field that the document does not name is then an error."""
    if isinstance(value, list):
        return [closed(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    schema = {key: closed(inner) for key, inner in value.items()}
    # An output item has more fields, depending on its type.
    if "properties" in schema and schema.get("required") != ["type"]:
        schema.setdefault("additionalProperties", False)
    return schema


def violations(name: str, instance: Any) -> list[str]:
    schema = {"$ref": f"#/components/schemas/{name}", "components": closed(openapi()["components"])}
    return [f"{list(error.path)}: {error.message}" for error in OAS31Validator(schema).iter_errors(instance)]


def examples_in(content: dict[str, Any]) -> Iterator[Any]:
    for example in content.get("examples", {}).values():
        yield example["value"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi()["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def responses_of(path: str, method: str) -> dict[str, Any]:
    responses: dict[str, Any] = openapi()["paths"][path][method]["responses"]
    return responses


def test_document_is_valid_openapi() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(openapi()).iter_errors()] == []
    assert "${" not in json.dumps(openapi())


def test_generated_files_are_current() -> None:
    for path, content in build().items():
        assert path.read_bytes() == content, f"{path.name} is stale: run `make docs`"


def test_paths_are_the_routes_of_the_api() -> None:
    tree = ast.parse((ROOT / "functions" / "api" / "app.py").read_text())
    routes = {
        (call.func.attr, str(ast.literal_eval(call.args[0])).replace("<", "{").replace(">", "}"))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in function.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }
    assert {(method, path) for path, method, _ in operations()} == routes


def test_every_parameter_is_described() -> None:
    schemas = openapi()["components"]["schemas"]
    for model in (CreateResponse, AfterthoughtOptions):
        properties = schemas[model.__name__]["properties"]
        assert set(properties) == set(model.model_fields)
        assert [name for name, schema in properties.items() if not schema.get("description")] == []


def test_description_has_the_smallest_max_output_tokens() -> None:
    properties = openapi()["components"]["schemas"]["CreateResponse"]["properties"]
    assert f"Allowed: {MIN_OUTPUT_TOKENS} up to" in properties["max_output_tokens"]["description"]


def test_unsupported_parameters_are_named() -> None:
    description = openapi()["components"]["schemas"]["CreateResponse"]["description"]
    assert [name for name in UNSUPPORTED_PARAMETERS if f"`{name}`" not in description] == []


def test_example_request_is_valid() -> None:
    content = openapi()["paths"]["/v1/responses"]["post"]["requestBody"]["content"]["application/json"]
    assert list(examples_in(content)) == [examples.REQUEST]
    assert violations("CreateResponse", examples.REQUEST) == []
    assert body.parse(json.dumps(examples.REQUEST).encode()).model == "o3"


@pytest.mark.parametrize(
    "request_body",
    [
        {"model": "o3"},
        {**examples.REQUEST, "n": 2},
        {**examples.REQUEST, "input": ""},
        {**examples.REQUEST, "input": []},
        {**examples.REQUEST, "temperature": "1"},
        {**examples.REQUEST, "stream": True},
        {**examples.REQUEST, "metadata": {str(number): "" for number in range(17)}},
        {**examples.REQUEST, "afterthought": {"webhook": "https://example.com"}},
        {**examples.REQUEST, "afterthought": {"max_cost_usd": 0.1}},
        {**examples.REQUEST, "afterthought": {"max_cost_usd": 0}},
        {**examples.REQUEST, "afterthought": {"max_cost_usd": "1e3"}},
        {**examples.REQUEST, "afterthought": {"tags": ["a", "a"]}},
        {**examples.REQUEST, "afterthought": {"tags": ["no space"]}},
        {**examples.REQUEST, "afterthought": {"tags": list("abcdef")}},
        {**examples.REQUEST, "afterthought": {"dry_run": "yes"}},
        {**examples.REQUEST, "afterthought": {"deadline_seconds": 59}},
        {**examples.REQUEST, "afterthought": {"deadline_seconds": 86_401}},
        {**examples.REQUEST, "afterthought": {"deadline_seconds": "600"}},
        {**examples.REQUEST, "afterthought": {"model_policy": "newest"}},
        {**examples.REQUEST, "afterthought": {"on_unknown": "again"}},
        {**examples.REQUEST, "afterthought": {"on_starved": "fail"}},
    ],
)
def test_schema_refuses_what_the_api_refuses(request_body: dict[str, Any]) -> None:
    assert violations("CreateResponse", request_body) != []
    with pytest.raises(RequestRefused):
        body.parse(json.dumps(request_body).encode())


@pytest.mark.parametrize(
    "options",
    [
        {"max_cost_usd": 1},
        {"max_cost_usd": "0.000000000001"},
        {"dry_run": False},
        {"deadline_seconds": 60},
        {"deadline_seconds": 86_400},
        *({"model_policy": policy} for policy in ("exact", "successor")),
        *({"on_unknown": choice} for choice in ("fail", "retry")),
        *({"on_starved": choice} for choice in ("keep", "retry")),
    ],
)
def test_schema_accepts_what_the_api_accepts(options: dict[str, Any]) -> None:
    request = {**examples.REQUEST, "afterthought": options}
    assert violations("CreateResponse", request) == []
    body.parse(json.dumps(request).encode())


def test_examples_match_their_schemas() -> None:
    """No example has a field that its schema does not name."""
    checked = 0
    for _, _, operation in operations():
        for response in operation["responses"].values():
            content = response["content"].get("application/json", {})
            for example in examples_in(content):
                # An example of a union must match one of its schemas.
                variants = content["schema"].get("oneOf", [content["schema"]])
                names = [variant["$ref"].rpartition("/")[2] for variant in variants]
                assert [] in [violations(name, example) for name in names], names
                checked += 1
    assert checked > 10


def test_additional_field_is_noticed() -> None:
    response = deepcopy(examples.COMPLETED_RESPONSE)
    response["afterthought"]["secret"] = "x"
    assert violations("Response", response) != []


@pytest.mark.parametrize("grouping", ["day", "model,tag", "day,model,tag,status"])
def test_usage_matches_schema_in_every_grouping(grouping: str) -> None:
    usage = examples.USAGE_READER.report("acme", {"group_by": grouping})
    assert usage["data"]
    assert violations("UsageReport", usage) == []


def test_usage_parameters_are_accepted() -> None:
    parameters = {each["name"]: each for each in openapi()["paths"]["/v1/usage"]["get"]["parameters"]}
    assert tuple(parameters) == PARAMETERS
    for status in parameters["status"]["schema"]["enum"]:
        assert parse_query({"status": status}, NOW.date()).status == status
    groups = parameters["group_by"]["schema"]["items"]["enum"]
    assert parse_query({"group_by": ",".join(groups)}, NOW.date()).group_by == tuple(groups)


def test_csv_example_equals_json_example() -> None:
    content = responses_of("/v1/usage", "get")["200"]["content"]
    [table] = examples_in(content["text/csv"])
    [report] = examples_in(content["application/json"])
    rows = list(csv.DictReader(io.StringIO(table, newline=""), strict=True))
    assert rows == [{k: "" if value is None else str(value) for k, value in row.items()} for row in report["data"]]
    assert len(rows) > 2


def test_documented_headers_match_sent() -> None:
    state = RateState(Limits(1, 1), WindowUsage(), 60)
    headers = deprecation_headers(NOW.date(), today=NOW.date(), successor="o3")
    created = responses_of("/v1/responses", "post")
    assert set(created["200"]["headers"]) == {"x-request-id", *state.headers(), *headers}
    assert set(created["429"]["headers"]) == {"x-request-id", "x-should-retry", *rate_limited(state, "o3", 1).headers}
    for path, method in (("/v1/responses/{response_id}", "get"), ("/v1/responses/{response_id}/cancel", "post")):
        assert set(responses_of(path, method)["200"]["headers"]) == {"x-request-id", *headers}


def test_errors_with_figures_have_examples() -> None:
    created = responses_of("/v1/responses", "post")
    for status, codes in {
        "400": ["unsupported_value"],
        "402": ["max_cost_exceeded", "budget_exceeded"],
        "429": ["rate_limit_exceeded"],
    }.items():
        content = created[status]["content"]["application/json"]
        assert list(content["examples"]) == codes
        assert [example["error"]["code"] for example in examples_in(content)] == codes


def test_error_types_are_complete() -> None:
    types = {refusal.kind for refusal in refusals().values() if hasattr(refusal, "kind")}
    full = WindowUsage(requests=1), WindowUsage(tokens=1)
    types |= {rate_limited(RateState(Limits(1, 1), window, 1), "o3", 1).kind for window in full}
    assert set(openapi()["components"]["schemas"]["ErrorDetail"]["properties"]["type"]["enum"]) == types


def test_failed_response_without_content_matches_schema() -> None:
    job = Job.create(
        JobSpec(
            id="resp_" + "0" * 48,
            tenant="acme",
            model="gpt-4o",
            effort=None,
            max_output_tokens=16,
            service_tier="flex",
            body_hash="",
            webhook=False,
            created_at=NOW,
            deadline_at=NOW + timedelta(hours=24),
        ),
        CallSpec("gpt-4o", None, 16, Decimal("0.1")),
    ).model_copy(
        update={
            "status": "failed",
            "failure": Failure(code="outcome_unknown", message="The result is unknown."),
            "attempts": (
                Attempt(number=1, state="settled", hold_usd=Decimal("0.1"), held_at=NOW, cost_usd=Decimal("0.1")),
            ),
        }
    )
    assert violations("Response", render(job, {}, None, None, stand_in=True)) == []


def test_response_with_two_attempts_matches_schema() -> None:
    plan = CallSpec("gpt-5.6-sol", "none", None, Decimal("0.01"), "outcome_unknown")
    calling = examples.QUEUED.start_call(token="", provider="openai", now=NOW)
    job = calling.fail("outcome_unknown", "", now=NOW, fallback=plan)
    assert violations("Response", render(job, examples.REQUEST, None, None, stand_in=False)) == []


def test_models_match_schema() -> None:
    models = ModelReader(default_catalogue(), ("openai", "standin"), lambda: NOW).list()
    assert len(models["data"]) > 10
    assert violations("ModelList", models) == []


def test_webhook_examples_match_schema() -> None:
    for name, item in openapi()["webhooks"].items():
        [event] = examples_in(item["post"]["requestBody"]["content"]["application/json"])
        assert violations("Event", event) == []
        assert event["type"] == name


def test_webhook_headers_match_sent() -> None:
    secret = signature.new_secret(bytes(32))
    headers = signature.headers((secret,), message_id="msg_1", timestamp=1, body=b"")
    for item in openapi()["webhooks"].values():
        assert {parameter["name"] for parameter in item["post"]["parameters"]} == set(headers)


def refusals() -> dict[str, type[RequestRefused]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, RequestRefused) and value is not RequestRefused
    }


def codes_in(call: ast.Call, tree: ast.Module) -> set[str]:
    """The codes that a call can set: the strings of its `code=`, or those assigned to the variable that it names."""
    codes: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg == "code":
            expressions: list[ast.expr] = [keyword.value]
            if isinstance(keyword.value, ast.Name):
                expressions = [
                    node.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Assign)
                    and any(isinstance(target, ast.Name) and target.id == keyword.value.id for target in node.targets)
                ]
            for expression in expressions:
                # The branches of `a if condition else b`, without the condition.
                branches = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
                codes |= {str(branch.value) for branch in branches if isinstance(branch, ast.Constant)}
    return codes


def test_error_codes_are_complete() -> None:
    """The documented codes are exactly those that the code can raise."""
    classes = refusals()
    # Any other exception.
    actual: set[tuple[int, str, bool]] = {(500, "internal_error", True)}
    for path in (*PACKAGE.rglob("*.py"), ROOT / "functions" / "api" / "app.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                refusal = classes[node.func.id]
                codes = codes_in(node, tree) or {str(refusal.code)}
                actual |= {(refusal.status, code, refusal.retryable) for code in codes}
    documented = openapi()["x-errors"]["codes"]
    assert {(error["status"], error["code"], error.get("retryable", False)) for error in documented} == actual
    ids = {operation["operationId"] for _, _, operation in operations()}
    assert {name for error in documented for name in error.get("operations", ())} <= ids


def test_operations_with_key_document_401() -> None:
    for path, _, operation in operations():
        public = operation.get("security") == []
        assert ("401" in operation["responses"]) != public, path
        if not public:
            assert set(operation["responses"]) - {"200"} == set(errors_of(operation["operationId"], openapi()))


def test_failure_codes_are_complete() -> None:
    """A job fails with a code in the first argument of `fail`, or in the `code` of a Failure."""
    codes: set[str] = set()
    for path in (*(PACKAGE / "services").rglob("*.py"), *(PACKAGE / "domain").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr == "fail":
                codes |= {str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)}
            elif isinstance(node.func, ast.Name) and node.func.id == "Failure":
                codes |= {
                    str(keyword.value.value)
                    for keyword in node.keywords
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
                }
    assert {"outcome_unknown", "deadline_exceeded", "internal_error"} <= codes
    assert codes <= set(openapi()["x-failures"]["codes"])


def test_api_does_not_import_the_generator() -> None:
    """The api function serves the generated files. It pays neither for the generator nor for the types of answers."""
    script = "import sys, app; print({'apidocs', 'yaml', 'afterthought.domain.wire.schemas'} & sys.modules.keys())"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "functions" / "api",
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.stdout.splitlines() == ["set()"], result.stderr


def test_cancel_documents_time_to_close_connection() -> None:
    description = openapi()["paths"]["/v1/responses/{response_id}/cancel"]["post"]["description"]
    assert f"within {CHECK_SECONDS:.0f} seconds its connection is closed" in description
