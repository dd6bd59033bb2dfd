"""The page at /docs is whole, loads nothing, and its examples work."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx2
import openai
import pytest

from afterthought.catalogue import default_catalogue
from afterthought.domain import body, signature
from afterthought.domain.usage_report import parse_query
from afterthought.services.describe import docs_page, examples, openapi, snippets, specimen
from afterthought.services.describe.page import page
from afterthought.services.models import Models

VOID = {"meta", "br", "hr", "img", "link", "input"}
SECRET = signature.new_secret(bytes(range(32)))


class Reader(HTMLParser):
    """What the page is made of; complains about a tag that is not closed where it should be."""

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
    return Reader(docs_page())


def test_every_tag_is_closed(reader: Reader) -> None:
    assert reader.open == []
    assert reader.tags["main"] == 1


def test_it_loads_nothing_and_runs_nothing(reader: Reader) -> None:
    assert reader.loads == []
    assert not {"script", "link", "img", "iframe", "object", "embed", "form"} & set(reader.tags)
    assert not re.search(r"url\(|@import", docs_page())


def test_every_link_on_the_page_leads_somewhere(reader: Reader) -> None:
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)
    elsewhere = {link for link in reader.links if not link.startswith("#")}
    assert elsewhere == {"openapi.json", "https://www.standardwebhooks.com"}


def test_it_shows_the_whole_document(reader: Reader) -> None:
    document = openapi()
    operations = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
    tables = {f"schema-{name}" for name, schema in document["components"]["schemas"].items() if "properties" in schema}
    assert operations | tables | {"webhooks", "errors"} <= set(reader.ids)
    for row in document["x-errors"]["codes"]:
        assert f"<code>{row['code']}</code>" in docs_page()


def test_what_stands_in_the_document_cannot_become_a_tag() -> None:
    document = openapi()
    poisoned = {**document, "info": {**document["info"], "title": "<img src=x>", "description": "`<b>` **<i>** <u>"}}
    made = Reader(page(poisoned))
    assert not {"img", "b", "i", "u"} & set(made.tags)


def answer(request: httpx2.Request) -> httpx2.Response:
    """The API as far as the examples call it; every answer is one of its own."""
    assert request.headers["authorization"] == "Bearer at_key"
    models = Models(default_catalogue(), ("openai",), lambda: datetime(2026, 11, 2, tzinfo=UTC))
    match request.method, request.url.path:
        case "POST", "/v1/responses":
            asked = body.read(request.content)
            dry = asked.afterthought is not None and asked.afterthought.dry_run
            return httpx2.Response(200, json=examples.dry_run() if dry else examples.queued())
        case "GET", "/v1/usage":
            assert parse_query(dict(request.url.params), specimen.ACCEPTED.date()).group_by == ("tag", "status")
            return httpx2.Response(200, json=examples.usage())
        case "GET", "/v1/models":
            return httpx2.Response(200, json=models.list())
        case "GET", "/v1/models/o3":
            return httpx2.Response(200, json=models.get("o3"))
        case "GET", path if path == f"/v1/responses/{examples.queued()['id']}":
            return httpx2.Response(200, json=examples.completed())
        case "POST", path if path == f"/v1/responses/{examples.cancelled()['id']}/cancel":
            return httpx2.Response(200, json=examples.cancelled())
    return httpx2.Response(404, json={"error": {"message": request.url.path, "code": "unknown_url"}})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Runs an example as it stands, by the real SDK, whose requests `answer` answers."""
    monkeypatch.setenv("AFTERTHOUGHT_URL", "https://api.test")
    monkeypatch.setenv("AFTERTHOUGHT_KEY", "at_key")
    monkeypatch.setenv("AFTERTHOUGHT_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("RESPONSE_ID", examples.queued()["id"])
    monkeypatch.setattr(time, "sleep", lambda _: None)

    class Client(openai.OpenAI):
        def __init__(self, **options: Any) -> None:
            transport = httpx2.MockTransport(answer)
            super().__init__(**options, max_retries=0, http_client=httpx2.Client(transport=transport))

    monkeypatch.setattr(openai, "OpenAI", Client)

    def execute(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(source, "example", "exec"), names)  # noqa: S102 - the examples are ours
        return names

    return execute


@pytest.mark.parametrize(
    ("source", "printed"),
    [
        (snippets.FIRST_PYTHON, "17 × 23 = 391.\n0.003334\n"),
        (snippets.CREATE_PYTHON, f"{examples.queued()['id']} queued\n"),
        (snippets.RETRIEVE_PYTHON, "completed 17 × 23 = 391."),
        (snippets.CANCEL_PYTHON, "cancelled None\n"),
        (snippets.DRY_RUN_PYTHON, "up to 0.033192\n402 max_cost_exceeded This job can cost up to $0.033192"),
        (snippets.USAGE_PYTHON, "checkout completed 1 0.003334\n"),
        (snippets.USAGE_PYTHON, "2026-11-02 9.963474 left of 10\n"),
        (snippets.MODELS_PYTHON, "o3 ['low', 'medium', 'high']"),
        (snippets.MODEL_PYTHON, "'output': '8'"),
    ],
    ids=["first", "create", "retrieve", "cancel", "dry run", "usage", "budgets", "models", "model"],
)
def test_an_example_in_python_runs_as_it_stands(
    source: str,
    printed: str,
    run: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(source)["client"].close()
    assert printed in capsys.readouterr().out


def test_the_example_of_a_receiver_takes_ours_and_refuses_what_is_forged(
    run: Callable[[str], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run(snippets.WEBHOOK_PYTHON)
    sent = examples.event().encode()
    headers = signature.headers((SECRET,), message_id="msg_1", timestamp=int(time.time()), body=sent)
    assert names["receive"](sent, headers) == 200
    assert capsys.readouterr().out == "17 × 23 = 391.\n"
    assert names["receive"](sent.replace(b"completed", b"failed"), headers) == 400
    names["client"].close()


def test_the_example_for_curl_sends_the_example_request() -> None:
    sent = re.search(r"-d '(.*)'", snippets.CREATE_CURL, re.DOTALL)
    assert sent is not None
    assert json.loads(sent[1]) == examples.REQUEST
