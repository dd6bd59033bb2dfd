"""Reads the functions' logs from the emulator's CloudWatch Logs."""

from collections.abc import Iterator

from local.service import Service

FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")


def lines(running: Service) -> Iterator[str]:
    """All log lines so far, function by function."""
    logs = running.cloud.logs
    groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"] if "logGroupName" in group}
    for function in FUNCTIONS:
        name = running.stack[f"{function}FunctionName"]
        configuration = running.cloud.functions.get_function_configuration(FunctionName=name)
        group = configuration.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
        if group not in groups:
            continue
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
            for event in page["events"]:
                yield event.get("message", "")
