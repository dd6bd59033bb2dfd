"""What the functions have logged, read where they log it."""

from collections.abc import Iterator

from local.service import Service

FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")


def lines(running: Service) -> Iterator[str]:
    """Every line so far, function by function."""
    logs = running.cloud.logs
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"] if "logGroupName" in group}
    for function in FUNCTIONS:
        name = running.stack[f"{function}FunctionName"]
        found = running.cloud.functions.get_function_configuration(FunctionName=name)
        group = found.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
        if group not in groups:
            continue
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                yield event.get("message", "")
