"""What a run produces: output items, usage and seconds of thinking. Equal requests produce equal outcomes."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock

from local.standin.arithmetic import Answer, answer
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
    "low": 192,
    "medium": 448,
    "high": 1152,
    "xhigh": 2304,
    "max": 4608,
}
BYTES_PER_TOKEN = 4
TOKENS_PER_ITEM = 4
TOKENS_PER_IMAGE = 765
# OpenAI caches prefixes of at least 1,024 tokens, in steps of 128.
CACHE_MIN_TOKENS = 1024
CACHE_STEP_TOKENS = 128
CACHE_ENTRIES = 50_000
SUMMARY = "The stand-in computes the last line of the question. It does not reason."


@dataclass(frozen=True)
class Outcome:
    """How a run ends. `usage` and `output` have the wire's shape; `thinking_seconds` is for a speed of 1."""

    status: str
    output: list[Json]
    usage: Json
    thinking_seconds: float
    incomplete_reason: str | None = None


class PromptCache:
    """The long prompt prefixes that each model has received. Thread-safe."""

    def __init__(self) -> None:
        self._prefixes: OrderedDict[bytes, None] = OrderedDict()
        self._lock = Lock()

    def add(self, model: str, prompt: str) -> tuple[int, int]:
        """Store the prefixes of the prompt. Returns the tokens that were stored before and those stored now."""
        raw = prompt.encode("utf-8", "surrogatepass")
        step = CACHE_STEP_TOKENS * BYTES_PER_TOKEN
        digest, cached, total = sha256(model.encode()), 0, 0
        with self._lock:
            for end in range(step, len(raw) + 1, step):
                digest.update(raw[end - step : end])
                total = end // BYTES_PER_TOKEN
                key = digest.digest()
                if key in self._prefixes and total == cached + CACHE_STEP_TOKENS:
                    cached = total
                self._prefixes[key] = None
                self._prefixes.move_to_end(key)
            while len(self._prefixes) > CACHE_ENTRIES:
                self._prefixes.popitem(last=False)
        cached = cached if cached >= CACHE_MIN_TOKENS else 0
        total = total if total >= CACHE_MIN_TOKENS else 0
        return cached, total - cached

    def clear(self) -> None:
        with self._lock:
            self._prefixes.clear()


def outcome_of(request: Request, response_id: str, cache: PromptCache) -> Outcome:
    """Answer the request. Raises WireError for an invalid schema."""
    reasoning_tokens = REASONING_TOKENS[request.effort]
    item, visible_tokens = answer_item(request, answer(request.question), response_id)
    limit = request.max_output_tokens
    incomplete = limit is not None and reasoning_tokens + visible_tokens > limit
    output: list[Json | None] = [reasoning_item(request, response_id) if reasoning_tokens else None]
    if limit is not None and incomplete:
        reasoning_tokens = min(reasoning_tokens, limit)
        visible_tokens = limit - reasoning_tokens
        output.append(shortened(item, visible_tokens))
    else:
        output.append(item)
    return Outcome(
        status="incomplete" if incomplete else "completed",
        output=[part for part in output if part],
        usage=usage_of(request, reasoning_tokens, visible_tokens, cache),
        thinking_seconds=THINKING_SECONDS[request.effort],
        incomplete_reason="max_output_tokens" if incomplete else None,
    )


def answer_item(request: Request, result: Answer, response_id: str) -> tuple[Json, int]:
    """The visible output item and its tokens: a function call if the request forces one, else a message."""
    if function := request.forced_function:
        arguments = json.dumps(fill(function.get("parameters") or {"type": "object"}, result) or {})
        call: Json = {
            "id": response_id.replace("resp_", "fc_", 1),
            "type": "function_call",
            "status": "completed",
            "call_id": response_id.replace("resp_", "call_", 1)[:29],
            "name": function["name"],
            "arguments": arguments,
        }
        return call, count_tokens(arguments) + count_tokens(function["name"])
    text_format = request.text["format"]
    text = result.text
    if text_format["type"] == "json_schema":
        text = json.dumps(fill(text_format["schema"], result), ensure_ascii=False)
    elif text_format["type"] == "json_object":
        text = json.dumps({"answer": text}, ensure_ascii=False)
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return message(response_id, part), count_tokens(text)


def message(response_id: str, part: Json) -> Json:
    return {
        "id": response_id.replace("resp_", "msg_", 1),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def refusal(response_id: str, text: str) -> Json:
    """The message of a model that refuses to answer."""
    return message(response_id, {"type": "refusal", "refusal": text})


def shortened(item: Json, tokens: int) -> Json | None:
    """The first `tokens` of a message. None for a function call: a part of its arguments would not be JSON."""
    if tokens <= 0 or item["type"] != "message":
        return None
    part = item["content"][0]
    raw = part["text"].encode("utf-8", "surrogatepass")[: tokens * BYTES_PER_TOKEN]
    return {**item, "status": "incomplete", "content": [{**part, "text": raw.decode(errors="ignore")}]}


def reasoning_item(request: Request, response_id: str) -> Json:
    summary = [{"type": "summary_text", "text": SUMMARY}] if request.reasoning.get("summary") else []
    return {"id": response_id.replace("resp_", "rs_", 1), "type": "reasoning", "summary": summary}


def count_tokens(text: str) -> int:
    """Four bytes a token, so that a text never has more tokens than bytes."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def usage_of(request: Request, reasoning_tokens: int, visible_tokens: int, cache: PromptCache) -> Json:
    """Usage in the wire's shape. Cached and written tokens are part of the input, reasoning tokens of the output."""
    cached, written = cache.add(request.model, request.prompt)
    input_tokens = count_tokens(request.prompt) + TOKENS_PER_ITEM * request.items + TOKENS_PER_IMAGE * request.images
    output_tokens = reasoning_tokens + visible_tokens
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {
            "cached_tokens": cached,
            # Only these families bill cache writes.
            "cache_write_tokens": written if request.model.startswith(("gpt-5.6", "gpt-6")) else 0,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": input_tokens + output_tokens,
    }
