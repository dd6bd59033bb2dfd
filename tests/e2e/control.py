"""How tests act on the running service from outside: its functions, its queues and its clock."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.service import Service


def expire(running: Service, job_id: str) -> None:
    """Makes a job overdue, as if its next step were long past."""
    running.cloud.dynamodb.update_item(
        TableName=running.stack["JobTableName"],
        Key={"pk": {"S": f"JOB#{job_id}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET overdue_at = :past, next_step_at = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )


def messages_in(running: Service, queue: str) -> int:
    """Messages of a queue: visible, delayed and in flight."""
    names: Any = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
    ]
    url = running.stack[f"{queue}Url"]
    attributes = running.cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in attributes.values())


def mapping_of(running: Service, function: str) -> dict[str, Any]:
    """The event source mapping of a function that a queue feeds."""
    name = running.stack[f"{function}FunctionName"]
    (mapping,) = running.cloud.functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    return dict(mapping)


def limit_concurrency(running: Service, function: str, processes: int) -> None:
    """The template allows twenty processes. On a laptop each start slows the running ones."""
    running.cloud.functions.update_event_source_mapping(
        UUID=mapping_of(running, function)["UUID"], ScalingConfig={"MaximumConcurrency": processes}
    )


def enable_worker(running: Service, enabled: bool) -> None:
    uuid = mapping_of(running, "Worker")["UUID"]
    running.cloud.functions.update_event_source_mapping(UUID=uuid, Enabled=enabled)


@contextmanager
def paused_worker(running: Service) -> Iterator[None]:
    """The worker receives no messages while the block runs."""
    enable_worker(running, False)
    try:
        yield
    finally:
        enable_worker(running, True)


@contextmanager
def worker_without(running: Service, action: str) -> Iterator[None]:
    """Takes an IAM action from the worker's role while the block runs."""
    cloud = running.cloud
    iam: Any = cloud.session.client("iam", endpoint_url=cloud.url, config=cloud.config)
    configuration = cloud.functions.get_function_configuration(FunctionName=running.stack["WorkerFunctionName"])
    role = configuration["Role"].rpartition("/")[2]
    changed = []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        statements = [without(statement, action) for statement in policy["Statement"]]
        if statements != policy["Statement"]:
            changed.append((name, policy))
            put(iam, role, name, {**policy, "Statement": statements})
    assert len(changed) == 1
    try:
        yield
    finally:
        for name, policy in changed:
            put(iam, role, name, policy)


def without(statement: dict[str, Any], action: str) -> dict[str, Any]:
    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    return {**statement, "Action": [each for each in actions if each != action]} if action in actions else statement


def put(iam: Any, role: str, name: str, policy: dict[str, Any]) -> None:
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
