"""The local service as a whole: emulator, stack, tenants, model endpoint and gateway, up together and down together."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from local import artefacts, gateway, ministack, tenants
from local.address import free_port
from local.cloud import Cloud
from local.endpoint import ModelEndpoint
from local.stack import Stack, Template, deploy


@dataclass(frozen=True)
class Service:
    """A running service. `base_url` is what an OpenAI SDK takes."""

    base_url: str
    cloud: Cloud
    stack: Stack
    endpoint: ModelEndpoint


@contextmanager
def running(
    name: str,
    endpoint: ModelEndpoint,
    *,
    port: int | None = None,
    webhook_origins: Sequence[str] = (),
    enforce_policies: bool = False,
    change: Callable[[Template], None] = lambda _template: None,
) -> Iterator[Service]:
    """The whole service on `port` (a free one if None). `name` names its log. Raises LocalFailure if it cannot start.

    `enforce_policies` and `change` are for tests: what the functions' roles allow, and a template with an error in it.
    """
    built = artefacts.build(ministack.interpreter())
    with ExitStack() as parts:
        cloud = parts.enter_context(ministack.running(name, enforce_policies=enforce_policies))
        stack = deploy(cloud, built, parameters(endpoint, webhook_origins), change)
        cloud.secrets.put_secret_value(SecretId=stack["ProviderSecretArn"], SecretString=json.dumps(endpoint.secret()))
        tenants.seed(cloud, stack)
        base_url = parts.enter_context(gateway.serving(port or free_port(), cloud.url, stack.api_path))
        endpoint.announce_to(base_url)
        yield Service(base_url, cloud, stack, endpoint)


def parameters(endpoint: ModelEndpoint, webhook_origins: Sequence[str]) -> dict[str, str]:
    """All that differs from a deployment to AWS."""
    return {
        "Providers": endpoint.provider,
        "WebhookAllowedOrigins": ",".join(webhook_origins),
        "RequireTls": "false",
    }
