"""The API's description says what the API does, no less and no more."""

import ast
import csv
import io
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from admin.api_docs import TARGET, markdown
from afterthought.catalogue import default_catalogue
from afterthought.domain import body, errors, lifecycle, signature
from afterthought.domain.attempt import Attempt, Plan
from afterthought.domain.errors import RequestRefused
from afterthought.domain.job import accept
from afterthought.domain.limits.rate_limit import Limits, RateState, WindowUsage, rate_limited
from afterthought.domain.record import Failure
from afterthought.domain.request import CreateResponse
from afterthought.domain.response import render
from afterthought.domain.usage import PARAMETERS, query_of
from afterthought.services.describe import examples, openapi, specimen, texts
from afterthought.services.describe.answers import FAILURES
from afterthought.services.describe.money import KINDS
from afterthought.services.describe.refusals import REFUSALS, refusals_of
from afterthought.services.direct import LOOK_SECONDS
from afterthought.services.models import Models
from afterthought.services.usage import ReadUsage

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "shared" / "afterthought"
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def closed(value: Any) -> Any:
    """A schema whose objects may have the fields they name and no others: what the document leaves open for later is
    shut, so that a field of ours that it does not name is seen."""
    if isinstance(value, list):
        return [closed(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    shut = {key: closed(inner) for key, inner in value.items()}
    if "properties" in shut and shut.get("required") != ["type"]:
        shut.setdefault("additionalProperties", False)
    return shut


def complaints(name: str, instance: Any) -> list[str]:
    schemas = closed(openapi()["components"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": schemas}
    return [f"{list(found.path)}: {found.message}" for found in OAS31Validator(schema).iter_errors(instance)]


def shown(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The examples of JSON answers, each with its schema."""
    for answer in operation["responses"].values():
        content = answer.get("content", {}).get("application/json", {})
        if "example" in content:
            yield content["schema"], content["example"]
        for each in content.get("examples", {}).values():
            yield content["schema"], each["value"]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in openapi()["paths"].items():
        for verb, operation in item.items():
            yield path, verb, operation


def test_the_document_is_valid_openapi() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(openapi()).iter_errors()] == []


def test_it_has_the_routes_of_the_api_function() -> None:
    tree = ast.parse((ROOT / "functions" / "api" / "app.py").read_text())
    routes = {
        (call.func.attr, str(ast.literal_eval(call.args[0])).replace("<", "{").replace(">", "}"))
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in function.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }
    assert {(verb, path) for path, verb, _ in operations()} == routes


def test_every_parameter_is_described() -> None:
    schema = openapi()["components"]["schemas"]["CreateResponse"]
    assert set(schema["properties"]) == set(CreateResponse.model_fields)
    assert [name for name, held in schema["properties"].items() if not held.get("description")] == []


def test_the_example_request_is_taken() -> None:
    assert complaints("CreateResponse", examples.REQUEST) == []
    assert body.read(json.dumps(examples.REQUEST).encode()).model == "o3"


@pytest.mark.parametrize(
    "wrong",
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
def test_the_schema_refuses_what_the_api_refuses(wrong: dict[str, Any]) -> None:
    assert complaints("CreateResponse", wrong) != []
    with pytest.raises(RequestRefused):
        body.read(json.dumps(wrong).encode())


@pytest.mark.parametrize(
    "ours",
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
def test_the_schema_takes_what_the_api_takes(ours: dict[str, Any]) -> None:
    request = {**examples.REQUEST, "afterthought": ours}
    assert complaints("CreateResponse", request) == []
    body.read(json.dumps(request).encode())


def test_the_schemas_name_every_field_of_the_examples() -> None:
    found = [(schema, example) for _, _, operation in operations() for schema, example in shown(operation)]
    assert len(found) > 8
    for schema, example in found:
        # A schema of two forms must fit as one of them.
        names = [each["$ref"].rpartition("/")[2] for each in schema.get("oneOf", [schema])]
        assert [] in [complaints(name, example) for name in names], (names, [complaints(n, example) for n in names])


@pytest.mark.parametrize("grouping", ["day", "model,tag", "day,model,tag,status"])
def test_the_schema_names_every_field_of_usage_however_it_is_grouped(grouping: str) -> None:
    usage = ReadUsage(specimen.Books(), specimen.Accounts(), lambda: specimen.ACCEPTED)("acme", {"group_by": grouping})
    assert usage["data"]
    assert complaints("UsageReport", usage) == []


def test_the_parameters_of_usage_are_those_that_it_takes() -> None:
    described = {each["name"]: each for each in openapi()["paths"]["/v1/usage"]["get"]["parameters"]}
    assert tuple(described) == PARAMETERS
    for status in described["status"]["schema"]["enum"]:
        assert query_of({"status": status}, NOW.date()).status == status
    groups = described["group_by"]["schema"]["items"]["enum"]
    assert query_of({"group_by": ",".join(groups)}, NOW.date()).group_by == tuple(groups)


def test_the_table_that_is_shown_is_the_answer_that_is_shown() -> None:
    content = openapi()["paths"]["/v1/usage"]["get"]["responses"]["200"]["content"]
    rows = list(csv.DictReader(io.StringIO(content["text/csv"]["example"], newline=""), strict=True))
    data = content["application/json"]["example"]["data"]
    assert rows == [{name: "" if held is None else str(held) for name, held in row.items()} for row in data]
    assert len(rows) > 2


def test_the_headers_are_those_that_are_sent() -> None:
    state = RateState(Limits(1, 1), WindowUsage(), 60)
    ending = lifecycle.headers(NOW.date(), today=NOW.date(), successor="o3")
    answers = openapi()["paths"]["/v1/responses"]["post"]["responses"]
    assert set(answers["200"]["headers"]) == {"x-request-id", *state.headers(), *ending}
    for path, verb in (("/v1/responses/{response_id}", "get"), ("/v1/responses/{response_id}/cancel", "post")):
        assert set(openapi()["paths"][path][verb]["responses"]["200"]["headers"]) == {"x-request-id", *ending}
    sent = rate_limited(state, "o3", 1)
    assert set(answers["429"]["headers"]) == {"x-request-id", "x-should-retry", *sent.headers}


def test_every_kind_of_refusal_that_is_given_has_an_example() -> None:
    answers = openapi()["paths"]["/v1/responses"]["post"]["responses"]
    for status, codes in {
        "400": ["unsupported_value"],
        "402": ["max_cost_exceeded", "budget_exceeded"],
        "429": ["rate_limit_exceeded"],
    }.items():
        given = answers[status]["content"]["application/json"]["examples"]
        assert list(given) == codes
        assert [each["value"]["error"]["code"] for each in given.values()] == codes


def test_every_type_of_error_is_documented_and_no_other() -> None:
    kinds = {kind.kind for kind in refusal_kinds().values() if hasattr(kind, "kind")}
    full = WindowUsage(requests=1), WindowUsage(tokens=1)
    kinds |= {rate_limited(RateState(Limits(1, 1), window, 1), "o3", 1).kind for window in full}
    # A RateLimited always has a type of its own.
    assert set(KINDS) == kinds


def test_the_schema_names_every_field_of_a_failed_response_whose_question_is_gone() -> None:
    job = accept(
        id="resp_" + "0" * 48,
        tenant="acme",
        model="gpt-4o",
        effort=None,
        max_output_tokens=16,
        service_tier="flex",
        body_hash="",
        webhook=False,
        plan=Plan("gpt-4o", None, 16, Decimal("0.1")),
        now=NOW,
    ).model_copy(
        update={
            "status": "failed",
            "failure": Failure(code="outcome_unknown", message="Nobody knows."),
            "attempts": (
                Attempt(number=1, state="settled", hold_usd=Decimal("0.1"), held_at=NOW, cost_usd=Decimal("0.1")),
            ),
        }
    )
    assert complaints("Response", render(job, {}, None, None, stand_in=True)) == []


def test_the_schema_names_every_field_of_a_response_that_was_called_again() -> None:
    plan = Plan("gpt-5.6-sol", "none", None, Decimal("0.01"), "outcome_unknown")
    lost = (
        specimen.queued().begin(token="", provider="openai", now=NOW).failed("outcome_unknown", "", now=NOW, then=plan)
    )
    assert complaints("Response", render(lost, examples.REQUEST, None, None, stand_in=False)) == []


def test_a_field_that_the_schema_does_not_name_would_be_seen() -> None:
    shown = examples.completed()
    shown["afterthought"]["secret"] = "x"
    assert complaints("Response", shown) != []


def test_the_schema_names_every_field_of_the_models() -> None:
    listed = Models(default_catalogue(), ("openai", "standin"), lambda: NOW).list()
    assert len(listed["data"]) > 10
    assert complaints("ModelList", listed) == []


def test_the_example_of_an_event_is_one() -> None:
    for hook, item in openapi()["webhooks"].items():
        shown = item["post"]["requestBody"]["content"]["application/json"]["example"]
        assert complaints("Event", shown) == []
        assert shown["type"] == hook


def test_the_headers_of_a_webhook_are_those_that_are_sent() -> None:
    secret = signature.new_secret(bytes(32))
    sent = signature.headers((secret,), message_id="msg_1", timestamp=1, body=b"")
    for item in openapi()["webhooks"].values():
        assert {each["name"] for each in item["post"]["parameters"]} == set(sent)


def refusal_kinds() -> dict[str, type[RequestRefused]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RequestRefused) and kind is not RequestRefused
    }


def codes_in(call: ast.Call, tree: ast.Module) -> set[str]:
    """The codes that a call can set: the strings of its `code=`, or of what is assigned to the name given there."""
    found: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg == "code":
            held: list[ast.expr] = [keyword.value]
            if isinstance(keyword.value, ast.Name):
                held = [
                    node.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Assign)
                    and any(isinstance(target, ast.Name) and target.id == keyword.value.id for target in node.targets)
                ]
            for expression in held:
                # The branches of `a if condition else b`, not what the condition compares.
                branches = [expression.body, expression.orelse] if isinstance(expression, ast.IfExp) else [expression]
                found |= {str(each.value) for each in branches if isinstance(each, ast.Constant)}
    return found


def test_every_code_that_the_api_can_answer_is_documented_and_no_other() -> None:
    kinds = refusal_kinds()
    # What no code of ours refuses: a defect.
    answered: set[tuple[int, str, bool]] = {(500, "internal_error", True)}
    for path in (*PACKAGE.rglob("*.py"), ROOT / "functions" / "api" / "app.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                kind = kinds[node.func.id]
                codes = codes_in(node, tree) or {str(kind.code)}
                answered |= {(kind.status, code, kind.retryable) for code in codes}
    assert {(row.status, row.code, row.retryable) for row in REFUSALS} == answered


def test_every_operation_with_a_key_documents_that_the_key_may_be_wrong() -> None:
    for path, _, operation in operations():
        keyless = operation.get("security") == []
        assert ("401" in operation["responses"]) != keyless, path
        if not keyless:
            documented = {int(status) for status in operation["responses"] if status != "200"}
            assert documented == set(refusals_of(operation["operationId"]))


def test_every_failure_of_ours_is_documented() -> None:
    """Whatever ends a job in a failure of ours gives its code as the first word: to the step, or to the failure."""
    given: set[str] = set()
    for path in (*(PACKAGE / "services").glob("*.py"), *(PACKAGE / "domain").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr == "failed":
                given |= {str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant)}
            elif isinstance(node.func, ast.Name) and node.func.id == "Failure":
                given |= {
                    str(held.value.value)
                    for held in node.keywords
                    if held.arg == "code" and isinstance(held.value, ast.Constant)
                }
    assert {"outcome_unknown", "deadline_exceeded", "internal_error"} <= given
    assert given <= set(FAILURES)


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert openapi()["info"]["version"] == project["version"]


def test_a_jobs_cold_start_does_not_load_its_documentation() -> None:
    show = (
        "import sys, app; "
        "print([name for name in sys.modules if name.startswith('afterthought.services.describe.')]); "
        "from afterthought.services.describe import docs_page; print(len(docs_page()) > 10_000)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", show],
        cwd=ROOT / "functions" / "api",
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert loaded.stdout.splitlines() == ["[]", "True"], loaded.stderr


def test_docs_api_md_is_current() -> None:
    assert TARGET.read_text(encoding="utf-8") == markdown(openapi()), "run `make docs`"


def test_a_cancel_says_how_soon_an_awaited_call_is_stopped() -> None:
    said = " ".join(texts.CANCEL.split())
    assert f"within {LOOK_SECONDS:.0f} seconds its connection is closed" in said
    assert "cannot be stopped" not in markdown(openapi())
