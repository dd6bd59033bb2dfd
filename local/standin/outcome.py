"""What a run comes to: output items, tokens and seconds of thinking. The same request, the same outcome."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any

from local.standin.answers import Answer
from local.standin.reasoner import answer
from local.standin.request import Request
from local.standin.schema import fill
from local.standin.wire import Json

THINKING_SECONDS: Mapping[str | None, float] = {
    None: 0.8,
    "none": 0.3,
    "minimal": 0.6,
    "low": 1.5,
    "medium": 3.0,
    "high": 6.0,
    "xhigh": 9.0,
    "max": 12.0,
}
REASONING_TOKENS: Mapping[str | None, int] = {
    None: 0,
    "none": 0,
    "minimal": 64,
    "low": 128,
    "medium": 384,
    "high": 1024,
    "xhigh": 2048,
    "max": 4096,
}
BYTES_PER_TOKEN = 4
TOKENS_PER_ITEM = 4
TOKENS_PER_IMAGE = 765
# OpenAI caches prefixes of 1,024 tokens and more, in steps of 128.
CACHE_LEAST_TOKENS = 1024
CACHE_STEP_TOKENS = 128
CACHE_ENTRIES = 50_000


@dataclass(frozen=True)
class Outcome:
    """How a run will end. `usage` and `output` have the wire's shape; `thinking_seconds` is before any speed-up."""

    status: str
    output: list[Json]
    usage: Json
    thinking_seconds: float
    incomplete_reason: str | None = None


def count_tokens(text: str) -> int:
    """The stand-in's own tokenizer: four bytes a token, so never more tokens than bytes."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


class PromptCache:
    """Which long prompt beginnings were seen before, by model. Safe to share between threads."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def visit(self, model: str, prompt: str) -> tuple[int, int]:
        """The prompt's cached tokens and its newly cached ones; remembers it for the next time."""
        raw = prompt.encode("utf-8", "surrogatepass")
        step = CACHE_STEP_TOKENS * BYTES_PER_TOKEN
        chain, cached, reached = sha256(model.encode()), 0, 0
        with self._lock:
            for end in range(step, len(raw) + 1, step):
                chain.update(raw[end - step : end])
                reached = end // BYTES_PER_TOKEN
                key = chain.digest()
                if key in self._seen and reached == cached + CACHE_STEP_TOKENS:
                    cached = reached
                self._seen[key] = None
                self._seen.move_to_end(key)
            while len(self._seen) > CACHE_ENTRIES:
                self._seen.popitem(last=False)
        cached = cached if cached >= CACHE_LEAST_TOKENS else 0
        reached = reached if reached >= CACHE_LEAST_TOKENS else 0
        return cached, reached - cached

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()


def think(request: Request, response_id: str, cache: PromptCache) -> Outcome:
    """Answer the request: in bounded time, whatever it says."""
    found = answer(request.question)
    reasoning_tokens = REASONING_TOKENS[request.effort]
    reasoning_tokens += 64 * min(len(found.steps), 6) if reasoning_tokens else 0
    seconds = THINKING_SECONDS[request.effort] * (0.85 + 0.05 * min(len(found.steps), 6))
    most = request.max_output_tokens
    whole, visible_tokens = shape_answer(request, found, response_id)
    item: Json | None = whole
    status = "completed"
    if most is not None and reasoning_tokens + visible_tokens > most:
        status = "incomplete"
        reasoning_tokens = min(reasoning_tokens, most)
        visible_tokens = most - reasoning_tokens
        item = shortened(whole, visible_tokens)
    output = [reasoning_item(request, found, response_id)] if reasoning_tokens else []
    return Outcome(
        status=status,
        output=[*output, item] if item else output,
        usage=count_usage(request, reasoning_tokens, visible_tokens, cache),
        thinking_seconds=seconds,
        incomplete_reason="max_output_tokens" if status == "incomplete" else None,
    )


def shape_answer(request: Request, found: Answer, response_id: str) -> tuple[Json, int]:
    """The visible output item and its tokens: a function call where the request forces one, else a message."""
    if function := request.called:
        arguments = json.dumps(fill(function.get("parameters") or {"type": "object"}, found) or {})
        call: Json = {
            "id": response_id.replace("resp_", "fc_", 1),
            "type": "function_call",
            "status": "completed",
            "call_id": response_id.replace("resp_", "call_", 1)[:29],
            "name": function["name"],
            "arguments": arguments,
        }
        return call, count_tokens(arguments) + count_tokens(function["name"])
    form = request.text["format"]
    text = found.message
    if form["type"] == "json_schema":
        text = json.dumps(fill(form["schema"], found), ensure_ascii=False)
    elif form["type"] == "json_object":
        text = json.dumps({"answer": found.text, "steps": list(found.steps)}, ensure_ascii=False)
    return message(response_id, {"type": "output_text", "text": text, "annotations": [], "logprobs": []}), count_tokens(
        text
    )


def message(response_id: str, part: Json) -> Json:
    return {
        "id": response_id.replace("resp_", "msg_", 1),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def refusal(response_id: str, text: str) -> Json:
    """The message of a model that will not answer."""
    return message(response_id, {"type": "refusal", "refusal": text})


def shortened(item: Json, tokens: int) -> Json | None:
    """The item as far as `tokens` reach: nothing of a function call, for half its arguments would be no JSON."""
    if tokens <= 0 or item["type"] != "message":
        return None
    part = item["content"][0]
    raw = part["text"].encode("utf-8", "surrogatepass")[: tokens * BYTES_PER_TOKEN]
    return {**item, "status": "incomplete", "content": [{**part, "text": raw.decode(errors="ignore")}]}


def reasoning_item(request: Request, found: Answer, response_id: str) -> Json:
    wanted = request.reasoning.get("summary") and found.steps
    summary = [{"type": "summary_text", "text": "\n".join(found.steps)}] if wanted else []
    return {"id": response_id.replace("resp_", "rs_", 1), "type": "reasoning", "summary": summary}


def count_usage(request: Request, reasoning_tokens: int, visible_tokens: int, cache: PromptCache) -> Json:
    """Usage in the wire's shape: cached and written tokens are parts of the input, reasoning tokens of the output."""
    cached, written = cache.visit(request.model, request.prompt)
    tokens = count_tokens(request.prompt) + TOKENS_PER_ITEM * request.items + TOKENS_PER_IMAGE * request.images
    details: dict[str, Any] = {
        "cached_tokens": cached,
        # Only these families bill what they write to the cache.
        "cache_write_tokens": written if request.model.startswith(("gpt-5.6", "gpt-6")) else 0,
    }
    output_tokens = reasoning_tokens + visible_tokens
    return {
        "input_tokens": tokens,
        "input_tokens_details": details,
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": tokens + output_tokens,
    }
