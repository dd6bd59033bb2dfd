"""A backing on the template's resources in moto."""

from bench.moto_stack import MotoStack
from tests.contract.backing import AwsBacking, Names


def deploy() -> AwsBacking:
    """A new, empty stack. Call it inside `mock_aws`."""
    stack = MotoStack()
    names = Names(
        job_table=stack.refs["JobTable"],
        account_table=stack.refs["AccountTable"],
        bucket=stack.refs["PayloadBucket"],
        job_queue_url=stack.refs["JobQueue"],
        direct_queue_url=stack.refs["DirectQueue"],
        webhook_queue_url=stack.refs["WebhookQueue"],
        topic_arn=stack.refs["CompletionTopic"],
        key_id=lambda: stack.refs["SecretsKey"],
    )
    return AwsBacking(stack.clients, names)
