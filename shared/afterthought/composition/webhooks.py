"""The service of the webhooks function."""

from afterthought.adapters import aws, clock, settings
from afterthought.adapters.delivery_records import DeliveryRecords
from afterthought.adapters.job_table import JobLookupTable
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.webhook_client import HttpsWebhookClient
from afterthought.composition import adapters
from afterthought.services.notify.deliver import WebhookSender


def from_environment() -> WebhookSender:
    table = settings.required("JOB_TABLE")
    return WebhookSender(
        jobs=JobLookupTable(aws.dynamodb(), table, terminal_only=True),
        contents=adapters.payloads(),
        accounts=adapters.account_table(),
        deliveries=DeliveryRecords(aws.dynamodb(), table),
        cipher=KmsCipher(aws.kms()),
        client=HttpsWebhookClient(frozenset(settings.listed("WEBHOOK_ALLOWED_ORIGINS"))),
        clock=clock.now,
    )
