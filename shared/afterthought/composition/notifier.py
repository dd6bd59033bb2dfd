"""The service of the notifier function."""

from afterthought.adapters import aws, settings
from afterthought.adapters.job_table import JobLookupTable
from afterthought.adapters.sns import SnsTopic
from afterthought.services.notify.publish import Notifier


def from_environment() -> Notifier:
    return Notifier(
        jobs=JobLookupTable(aws.dynamodb(), settings.required("JOB_TABLE")),
        topic=SnsTopic(aws.sns(), settings.required("COMPLETION_TOPIC_ARN")),
    )
