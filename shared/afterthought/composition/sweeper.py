"""The service of the sweeper function."""

from afterthought.adapters import aws, clock, settings
from afterthought.adapters.sns import SnsTopic
from afterthought.composition import adapters
from afterthought.services.notify.publish import Notifier
from afterthought.services.run.sweep import Sweeper


def from_environment() -> Sweeper:
    jobs = adapters.job_table()
    notifier = Notifier(jobs, SnsTopic(aws.sns(), settings.required("COMPLETION_TOPIC_ARN")))
    return Sweeper(jobs, adapters.job_queue(), notifier, clock.now)
