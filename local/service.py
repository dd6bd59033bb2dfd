"""The local service: emulator, stack, tenants, model endpoint and gateway. All start and stop together."""

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
    """A running service. `base_url` is for an OpenAI client."""

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
    """The service on `port` (None: a free one). `name` is part of the log's name. Raises LocalFailure.

    For tests: `enforce_policies` limits the functions to their roles, `change` edits the template to deploy.
    """
    built = artefacts.build(ministack.interpreter())
    with ExitStack() as parts:
        cloud = parts.enter_context(ministack.running(name, enforce_policies=enforce_policies))
        stack = deploy(cloud, built, parameters(endpoint, webhook_origins), change)
        cloud.secrets.put_secret_value(SecretId=stack["ProviderSecretArn"], SecretString=json.dumps(endpoint.secret()))
        tenants.seed(cloud, stack)
        base_url = parts.enter_context(gateway.serving(port or free_port(), cloud.url, stack.api_path))
        endpoint.register_webhook(base_url)
        yield Service(base_url, cloud, stack, endpoint)


def parameters(endpoint: ModelEndpoint, webhook_origins: Sequence[str]) -> dict[str, str]:
    """The template parameters that differ from a deployment to AWS."""
    return {
        "Providers": endpoint.provider,
        "WebhookAllowedOrigins": ",".join(webhook_origins),
        "RequireTls": "false",
    }
