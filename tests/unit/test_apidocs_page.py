"""The documentation page is complete and loads no resources, and its code samples work."""

import json
import re
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx2
import openai
import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain.request import body
from afterthought.domain.webhooks import signature
from afterthought.domain.wire.usage_report import parse_query
from afterthought.services.query.models import ModelReader
from apidocs import examples
from apidocs.document import document
from apidocs.page import page

VOID = {"meta", "br", "hr", "img", "link", "input"}
SECRET = signature.new_secret(bytes(range(32)))
API = document()
PAGE = page(API)


class Reader(HTMLParser):
    """Collects tags, ids and links, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action", "background") or name.startswith("on"):
                self.loads.append(f"{tag} {name}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(PAGE)


def test_every_tag_is_closed(reader: Reader) -> None:
    assert reader.open == []
    assert reader.tags["main"] == 1


def test_page_loads_and_runs_nothing(reader: Reader) -> None:
    assert reader.loads == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(reader.tags)
    assert not re.search(r"url\(|@import", PAGE)


def test_policy_allows_only_the_style_of_the_page() -> None:
    [style] = re.findall(r"<style>(.*?)</style>", PAGE, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'\"" in PAGE
    assert " style=" not in PAGE


def test_every_link_has_a_target(reader: Reader) -> None:
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    external = {link for link in reader.links if not link.startswith("#")}
    assert external == {"openapi.json", "https://www.standardwebhooks.com"}


def test_page_shows_the_whole_document(reader: Reader) -> None:
    operations = {operation["operationId"] for item in API["paths"].values() for operation in item.values()}
    objects = {name for name, schema in API["components"]["schemas"].items() if "properties" in schema}
    # The request body is shown with its operation.
    assert operations | objects - {"CreateResponse"} | {"webhooks", "errors", "failures"} <= set(reader.ids)
    names = {
        *(error["code"] for error in API["x-errors"]["codes"]),
        *API["x-failures"]["codes"],
        *API["webhooks"],
        *API["components"]["schemas"]["CreateResponse"]["properties"],
    }
    assert [name for name in names if f"<code>{name}</code>" not in PAGE] == []


def test_text_is_escaped() -> None:
    info = {**API["info"], "title": "<img src=x>", "description": "`<b>` **<i>** <u>"}
    reader = Reader(page({**API, "info": info}))
    assert not {"img", "b", "i", "u"} & set(reader.tags)


def sample(operation_id: str, label: str = "Python") -> str:
    operations = [operation for item in API["paths"].values() for operation in item.values()]
    [samples] = [each["x-codeSamples"] for each in operations if each["operationId"] == operation_id]
    [source] = [each["source"] for each in samples if each["label"] == label]
    return str(source)


def answer(request: httpx2.Request) -> httpx2.Response:
    """The API, as far as the samples call it. Answers are the examples of the document."""
    assert request.headers["authorization"] == "Bearer at_key"
    models = ModelReader(default_catalogue(), ("openai",), lambda: examples.NOW)
    response_id = examples.QUEUED.id
    match request.method, request.url.path:
        case "POST", "/v1/responses":
            options = body.parse(request.content).afterthought
            dry_run = options is not None and options.dry_run
            return httpx2.Response(200, json=examples.DRY_RUN if dry_run else examples.QUEUED_RESPONSE)
        case "GET", "/v1/usage":
            assert parse_query(dict(request.url.params), examples.NOW.date()).group_by == ("tag", "status")
            return httpx2.Response(200, json=examples.USAGE)
        case "GET", "/v1/models":
            return httpx2.Response(200, json=models.list())
        case "GET", "/v1/models/o3":
            return httpx2.Response(200, json=models.get("o3"))
        case "GET", path if path == f"/v1/responses/{response_id}":
            return httpx2.Response(200, json=examples.COMPLETED_RESPONSE)
        case "POST", path if path == f"/v1/responses/{response_id}/cancel":
            return httpx2.Response(200, json=examples.CANCELLED_RESPONSE)
    return httpx2.Response(404, json={"error": {"message": request.url.path, "code": "unknown_url"}})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Runs a sample unchanged with the real SDK. `answer` answers its requests."""
    monkeypatch.setenv("AFTERTHOUGHT_URL", "https://api.test")
    monkeypatch.setenv("AFTERTHOUGHT_KEY", "at_key")
    monkeypatch.setenv("AFTERTHOUGHT_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("RESPONSE_ID", examples.QUEUED.id)
    monkeypatch.setattr(time, "sleep", lambda _: None)

    class Client(openai.OpenAI):
        def __init__(self, **options: Any) -> None:
            transport = httpx2.MockTransport(answer)
            super().__init__(**options, max_retries=0, http_client=httpx2.Client(transport=transport))

    monkeypatch.setattr(openai, "OpenAI", Client)

    def execute(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(source, "sample", "exec"), names)  # noqa: S102 - our own code
        return names

    return execute


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        (API["info"]["x-example"], "17 × 23 = 391.\n0.003334\n"),
        (sample("createResponse"), f"{examples.QUEUED.id} queued\n"),
        (
            sample("createResponse", "Python, dry run"),
            "at most 0.033192\n402 max_cost_exceeded This job can cost up to $0.033192",
        ),
        (sample("retrieveResponse"), "completed 17 × 23 = 391."),
        (sample("cancelResponse"), "cancelled None\n"),
        (sample("readUsage"), "checkout completed 1 0.003334\n"),
        (sample("readUsage"), "2026-11-02 9.963474 left of 10\n"),
        (sample("listModels"), "o3 ['low', 'medium', 'high']"),
        (sample("retrieveModel"), "'output': '8'"),
    ],
    ids=["quick start", "create", "dry run", "retrieve", "cancel", "usage", "budgets", "models", "model"],
)
def test_python_samples_run(
    source: str,
    printed: str,
    run: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(source)["client"].close()
    assert printed in capsys.readouterr().out


def test_webhook_sample_verifies_signatures(
    run: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    [webhook] = API["webhooks"]["response.completed"]["post"]["x-codeSamples"]
    names = run(webhook["source"])
    event = json.dumps(examples.EVENT, separators=(",", ":")).encode()
    headers = signature.headers((SECRET,), message_id="msg_1", timestamp=int(time.time()), body=event)
    assert names["receive"](event, headers) == 200
    assert capsys.readouterr().out == "17 × 23 = 391.\n"
    assert names["receive"](event.replace(b"completed", b"failed"), headers) == 400
    names["client"].close()


def test_curl_sample_sends_the_example_request() -> None:
    sent = re.search(r"-d '(.*)'", sample("createResponse", "curl"), re.DOTALL)
    assert sent is not None
    assert json.loads(sent[1]) == examples.REQUEST
