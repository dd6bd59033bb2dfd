"""The service of the provider_events function."""

from afterthought.adapters import aws, clock, settings
from afterthought.adapters.provider_secrets import ProviderSecrets
from afterthought.adapters.sqs import SqsEventQueue
from afterthought.services.run.receive_event import ProviderEventReceiver


def from_environment() -> ProviderEventReceiver:
    return ProviderEventReceiver(
        secrets=ProviderSecrets(aws.secretsmanager(), settings.required("PROVIDER_SECRET_ARN")),
        queue=SqsEventQueue(aws.sqs(), settings.required("JOB_QUEUE_URL")),
        clock=clock.now,
    )
