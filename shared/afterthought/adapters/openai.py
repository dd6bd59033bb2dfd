"""Model providers that speak OpenAI's Responses API, through OpenAI's own SDK.

The SDK's retries are off: it sends no idempotency key of its own, so a repeated create could be paid twice. Its raw
responses are read here, since what a provider answers is checked before it is believed. The error classes follow
https://platform.openai.com/docs/guides/error-codes.
"""

import asyncio
import email.utils
import hmac
import json
import math
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI

from afterthought.adapters import generation
from afterthought.adapters.provider_secrets import Connection, ProviderSecrets
from afterthought.domain.call import CACHE_SALT
from afterthought.domain.errors import (
    OUT_OF_FUNDS_CODES,
    GenerationGone,
    OutcomeUnknown,
    ProviderBusy,
    ProviderError,
    ProviderRefused,
)
from afterthought.domain.models.provider import Provider
from afterthought.domain.record import TERMINAL
from afterthought.services.ports import Generation

if TYPE_CHECKING:
    import ssl

TIMEOUT = httpx2.Timeout(connect=5.0, write=8.0, read=15.0, pool=5.0)
"""Background calls answer at once. The limits hold for each operation, 28 s together: far below the submit lease, so
that a worker outlives its call."""

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_NO_MONEY_WAIT_SECONDS = 300.0
_MODEL_NOT_FOUND = "model_not_found"
_NO_SUCH_ADDRESS = "Invalid URL"
"""How OpenAI begins to say, in its usual form, that there is nothing at an address: a base URL without its `/v1`."""
_NOT_FOUND_TYPES = frozenset({"NotFoundError", "not_found_error"})
"""How vLLM and Ollama say that they do not have the model: by the type alone, with the status or nothing for a code."""

# While a model thinks, nothing passes on the line, and a NAT gateway drops a connection that was idle for 350 s.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
]


class OpenAIResponses:
    """The ports `Generations` and `Awaited`."""

    def __init__(self, secrets: ProviderSecrets, timeout: httpx2.Timeout = TIMEOUT) -> None:
        self._secrets = secrets
        self._timeout = timeout
        self._clients: dict[tuple[str, Connection], OpenAI] = {}

    def announces(self, provider: Provider) -> bool:
        """Whether the provider's events are on: its entry in the secret has what they are signed with. False as well
        while the secret cannot be read: that costs looks, the other answer could cost the only one."""
        try:
            connection = self._secrets.connection(provider.name)
        except ProviderBusy:
            return False
        return bool(connection.webhook_secrets)

    def create(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        connection = self._secrets.connection(provider.name)
        try:
            raw = self._client(provider, connection).responses.with_raw_response.create(
                **_named(provider, connection, request)
            )
        except openai.APIError as error:
            raise self._rotated(provider, connection, error) or _failure(error, connection) from error
        return generation.read(raw.content, provider, _known(connection))

    async def create_awaited(self, provider: Provider, request: Mapping[str, Any]) -> Generation:
        """On a connection of its own: one that was kept could be closed by the server just as the call goes out, and
        nobody would know whether it ran."""
        connection = await asyncio.to_thread(self._secrets.connection, provider.name)
        try:
            async with (
                asyncio.timeout(provider.direct_seconds),
                _awaiting(provider, connection, self._timeout) as client,
            ):
                raw = await client.responses.with_raw_response.create(**_named(provider, connection, request))
        except TimeoutError as error:
            told = f"The provider gave no answer within {provider.direct_seconds} s; the call may have run."
            raise OutcomeUnknown(told, code="no_answer") from error
        except openai.APIError as error:
            rotated = await asyncio.to_thread(self._rotated, provider, connection, error)
            raise rotated or _failure(error, connection) from error
        came = generation.read(raw.content, provider, _known(connection))
        if came.status not in TERMINAL:
            raise OutcomeUnknown("The provider answered before the response had ended.", code="not_ended")
        return came

    def retrieve(self, provider: Provider, response_id: str) -> Generation:
        connection = self._secrets.connection(provider.name)
        client = self._client(provider, connection)
        content = _look(lambda: client.responses.with_raw_response.retrieve(response_id).content, connection)
        return generation.read(content, provider, _known(connection))

    def cancel(self, provider: Provider, response_id: str) -> Generation:
        connection = self._secrets.connection(provider.name)
        client = self._client(provider, connection)
        try:
            content = _look(lambda: client.responses.with_raw_response.cancel(response_id).content, connection)
        except ProviderRefused:
            # What has ended already cannot be cancelled: it stands as it ended.
            return self.retrieve(provider, response_id)
        return generation.read(content, provider, _known(connection))

    def _client(self, provider: Provider, connection: Connection) -> OpenAI:
        key = (provider.name, connection)
        if key not in self._clients:
            self._clients[key] = OpenAI(
                api_key=connection.api_key.get_secret_value(),
                base_url=connection.base_url or provider.base_url,
                max_retries=0,
                timeout=self._timeout,
            )
        return self._clients[key]

    def _rotated(self, provider: Provider, connection: Connection, error: openai.APIError) -> ProviderBusy | None:
        """A key that was replaced in the secret a moment ago must not cost the jobs that still met the old one."""
        if not isinstance(error, openai.AuthenticationError):
            return None
        if self._secrets.connection(provider.name, fresh=True) == connection:
            return None
        return ProviderBusy("The provider's key has just changed.", retry_after_seconds=1.0)


def _awaiting(provider: Provider, connection: Connection, timeout: httpx2.Timeout) -> AsyncOpenAI:
    """A client for one call. How long it waits for the answer is for its caller to bound."""
    patient = httpx2.Timeout(connect=timeout.connect, write=timeout.write, pool=timeout.pool, read=None)
    transport = httpx2.AsyncHTTPTransport(verify=_ssl_context(), socket_options=_KEEP_ALIVE)
    return AsyncOpenAI(
        api_key=connection.api_key.get_secret_value(),
        base_url=connection.base_url or provider.base_url,
        max_retries=0,
        timeout=patient,
        http_client=DefaultAsyncHttpxClient(transport=transport, timeout=patient),
    )


@cache
def _ssl_context() -> "ssl.SSLContext":
    """Read once a process: the certificates take some 25 ms, which a hundred calls at once would each wait for."""
    return httpx2.create_ssl_context()


def _named(provider: Provider, connection: Connection, request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as the provider takes it: the model by its own name, and a salt for its cache if it takes one."""
    named = {name: value for name, value in request.items() if name != CACHE_SALT}
    named["model"] = provider.name_of(str(request["model"]))
    if not provider.cache_salt or CACHE_SALT not in request:
        return named
    # Keyed, so that who knows a tenant's name cannot work out its salt without the server's key. The SDK has no
    # parameter for it.
    key = connection.api_key.get_secret_value().encode()
    salt = hmac.new(key, str(request[CACHE_SALT]).encode(), "sha256").hexdigest()
    return {**named, "extra_body": {CACHE_SALT: salt}}


def _look(ask: Callable[[], bytes], connection: Connection) -> bytes:
    try:
        return ask()
    except openai.APIConnectionError as error:
        raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
    except openai.NotFoundError as error:
        if not _told_by_a_provider(error):
            raise ProviderBusy("The provider could not be reached.", code="unreachable") from error
        raise GenerationGone("The provider no longer knows this response.", code=_code(error)) from error
    except openai.APIError as error:
        raise _failure(error, connection) from error


def _told_by_a_provider(error: openai.NotFoundError) -> bool:
    """Whether a 404 is a provider's word on a response, and not that of a gateway or of an address that is wrong: to
    believe those would end every job that is thinking."""
    try:
        body = json.loads(error.response.content)
    except (ValueError, RecursionError):
        return False
    # Not the SDK's `error.body`, which is all of the body where it has no `error`.
    told = body.get("error") if isinstance(body, dict) else None
    message = told.get("message") if isinstance(told, dict) else None
    return isinstance(message, str) and message != "" and not message.startswith(_NO_SUCH_ADDRESS)


def _failure(error: openai.APIError, connection: Connection) -> ProviderError:
    """What the SDK's error means to us."""
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error.__cause__, _NOT_SENT):
            return ProviderBusy("The provider could not be reached.", code="unreachable")
        return OutcomeUnknown("The provider was called and no answer came.", code="no_answer")
    status, code = error.status_code, _code(error)
    retry_after = _retry_after(error.response.headers)
    if code in OUT_OF_FUNDS_CODES:
        wait = max(retry_after or 0.0, _NO_MONEY_WAIT_SECONDS)
        return ProviderBusy("The provider account has no money left.", code=code, retry_after_seconds=wait)
    if status in (429, 503):
        return ProviderBusy(f"The provider is busy ({status}).", code=code, retry_after_seconds=retry_after)
    if status in (401, 403):
        # The provider's own text can hold a piece of the key.
        return ProviderRefused(f"The provider refused the service's credentials ({status}).", code=code)
    if 400 <= status < 500 and status != 408:
        return ProviderRefused(_message(error, connection), code=code)
    return OutcomeUnknown(f"The provider failed ({status}); the call may have run.", code=code)


def _code(error: openai.APIStatusError) -> str | None:
    """The provider's `error.code`, which the SDK has made a string of, whatever a gateway put there."""
    if error.status_code == 404 and isinstance(error.type, str) and error.type in _NOT_FOUND_TYPES:
        return _MODEL_NOT_FOUND
    # Some repeat the HTTP status there, which says nothing.
    return None if error.code == str(error.status_code) else generation.code(error.code)


def _message(error: openai.APIStatusError, connection: Connection) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    told = body.get("message")
    if not isinstance(told, str) or not told:
        return f"The provider refused the request ({error.status_code})."
    return generation.message(told, _known(connection))


def _known(connection: Connection) -> tuple[str, ...]:
    """What of the connection its provider could repeat."""
    host = urlsplit(connection.base_url or "").netloc
    return (connection.api_key.get_secret_value(), host)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` in either of its forms (RFC 9110, section 10.2.3)."""
    given = headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            at = email.utils.parsedate_to_datetime(given)
        except (ValueError, OverflowError):
            return None
        seconds = at.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None
