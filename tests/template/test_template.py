"""Rules that the stack must keep, asked of what CloudFormation gets."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from cfnlint.api import lint

from afterthought.adapters import aws
from afterthought.domain.job import CONTENT_KEPT, SUBMIT_LEASE
from afterthought.domain.record import TERMINAL, Status
from afterthought.domain.schedule import MOST_DELIVERIES

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")

# What Lambda itself does with a queue in the name of a function's role, and what functions call that put messages off.
CONSUMES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
PUTS_OFF = {"sqs:ChangeMessageVisibility"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}

GRANTS: dict[str, dict[str, set[str]]] = {
    "ApiRole": {
        "ApiLogGroup": LOGS,
        "AccountTable": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
        "JobTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "PayloadBucket/*": {"s3:GetObject", "s3:PutObject"},
        "JobQueue": {"sqs:SendMessage"},
        "DirectQueue": {"sqs:SendMessage"},
    },
    "WorkerRole": {
        "WorkerLogGroup": LOGS,
        "JobTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "AccountTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "PayloadBucket/*": {"s3:GetObject", "s3:PutObject"},
        "JobQueue": CONSUMES | PUTS_OFF | {"sqs:SendMessage"},
        "DirectQueue": {"sqs:SendMessage"},
        "ProviderSecret|ProviderSecretArn": {"secretsmanager:GetSecretValue"},
    },
    "DirectRole": {
        "DirectLogGroup": LOGS,
        "JobTable": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "AccountTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "PayloadBucket/*": {"s3:GetObject", "s3:PutObject"},
        "DirectQueue": CONSUMES | {"sqs:SendMessage"},
        "JobQueue": {"sqs:SendMessage"},
        "ProviderSecret|ProviderSecretArn": {"secretsmanager:GetSecretValue"},
    },
    "ProviderEventsRole": {
        "ProviderEventsLogGroup": LOGS,
        "JobQueue": {"sqs:SendMessage"},
        "ProviderSecret|ProviderSecretArn": {"secretsmanager:GetSecretValue"},
    },
    "NotifierRole": {
        "NotifierLogGroup": LOGS,
        "JobTable.StreamArn": {
            "dynamodb:DescribeStream",
            "dynamodb:GetRecords",
            "dynamodb:GetShardIterator",
            "dynamodb:ListStreams",
        },
        "JobTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "CompletionTopic": {"sns:Publish"},
        "StreamDeadLetterQueue": {"sqs:SendMessage"},
    },
    "WebhooksRole": {
        "WebhooksLogGroup": LOGS,
        "JobTable": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "AccountTable": {"dynamodb:GetItem"},
        "PayloadBucket/*": {"s3:GetObject"},
        "SecretsKey": {"kms:Decrypt"},
        "WebhookQueue": CONSUMES | PUTS_OFF,
    },
    "SweeperRole": {
        "SweeperLogGroup": LOGS,
        "JobTable/index/overdue": {"dynamodb:Query"},
        "JobTable": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "AccountTable": {"dynamodb:UpdateItem"},
        "JobQueue": {"sqs:SendMessage"},
        "DirectQueue": {"sqs:SendMessage"},
        "CompletionTopic": {"sns:Publish"},
    },
    "EveryMinuteRole": {"SweeperFunction": {"lambda:InvokeFunction"}},
}

POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
CALLS_MODELS = {
    "JOB_TABLE",
    "ACCOUNT_TABLE",
    "PAYLOAD_BUCKET",
    "JOB_QUEUE_URL",
    "DIRECT_QUEUE_URL",
    "PROVIDER_SECRET_ARN",
    "PROVIDERS",
}
ENVIRONMENT = {
    "Api": {
        "JOB_TABLE",
        "ACCOUNT_TABLE",
        "PAYLOAD_BUCKET",
        "JOB_QUEUE_URL",
        "DIRECT_QUEUE_URL",
        "PROVIDERS",
        "WEBHOOK_ALLOWED_ORIGINS",
    },
    "Worker": CALLS_MODELS,
    "Direct": CALLS_MODELS,
    "ProviderEvents": {"JOB_QUEUE_URL", "PROVIDER_SECRET_ARN"},
    "Notifier": {"JOB_TABLE", "COMPLETION_TOPIC_ARN"},
    "Webhooks": {"JOB_TABLE", "ACCOUNT_TABLE", "PAYLOAD_BUCKET", "WEBHOOK_QUEUE_URL", "WEBHOOK_ALLOWED_ORIGINS"},
    "Sweeper": {"JOB_TABLE", "ACCOUNT_TABLE", "JOB_QUEUE_URL", "DIRECT_QUEUE_URL", "COMPLETION_TOPIC_ARN"},
}


def of_type(resources: Json, kind: str) -> dict[str, Json]:
    return {name: each.get("Properties", {}) for name, each in resources.items() if each["Type"] == kind}


def referred(value: Any) -> str:
    """A resource's name as a person would say it: `JobTable`, `PayloadBucket/*`, `JobTable.StreamArn`."""
    match value:
        case {"Ref": str(name)}:
            return name
        case {"Fn::GetAtt": [str(name), "Arn" | "Id"]}:
            return name
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", text)
        case {"Fn::If": [_, yes, no]}:
            return f"{referred(yes)}|{referred(no)}"
    raise AssertionError(f"not a reference to a resource of the stack: {value!r}")


def statements(role: Json) -> Iterator[tuple[list[str], list[Any]]]:
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            actions, targets = statement["Action"], statement["Resource"]
            yield (
                [actions] if isinstance(actions, str) else actions,
                targets if isinstance(targets, list) else [targets],
            )


def retries(queue: Json) -> int:
    return int(queue["RedrivePolicy"]["maxReceiveCount"])


def test_the_template_passes_cfn_lint() -> None:
    assert [str(match) for match in lint((ROOT / "template.yaml").read_text())] == []


def test_the_translation_passes_cfn_lint(stack: Json) -> None:
    assert [str(match) for match in lint(json.dumps(stack))] == []


def test_every_parameter_and_output_is_described(template: Json) -> None:
    for section in ("Parameters", "Outputs"):
        undescribed = [name for name, each in template[section].items() if len(each.get("Description", "")) < 10]
        assert undescribed == []


def test_every_parameter_has_a_default_so_that_a_first_deployment_needs_no_answers(template: Json) -> None:
    assert [name for name, each in template["Parameters"].items() if "Default" not in each] == []


def test_the_functions_are_those_of_the_design(resources: Json) -> None:
    assert set(of_type(resources, "AWS::Lambda::Function")) == {f"{name}Function" for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_runs_python_3_13_on_arm64_with_the_layer(resources: Json, name: str) -> None:
    function = resources[f"{name}Function"]["Properties"]
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == "app.handler"
    (layer,) = function["Layers"]
    assert resources[layer["Ref"]]["Properties"]["CompatibleArchitectures"] == ["arm64"]


def test_the_layer_is_built_for_arm64(template: Json) -> None:
    layer = template["Resources"]["AfterthoughtLayer"]
    assert layer["Metadata"] == {"BuildMethod": "python3.13", "BuildArchitecture": "arm64"}
    assert layer["Properties"]["RetentionPolicy"] == "Delete"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_a_role_of_its_own(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_logs_into_a_group_of_its_own(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_keeps_its_own_lines_and_not_those_of_lambda(resources: Json, name: str) -> None:
    """START, END and REPORT of each call would be most of what the logs cost. (Levels are for JSON lines only.)"""
    logging = resources[f"{name}Function"]["Properties"]["LoggingConfig"]
    assert logging["LogFormat"] == "JSON"
    assert logging["SystemLogLevel"] == "WARN"
    assert logging["ApplicationLogLevel"] == {"Ref": "LogLevel"}


def test_every_log_group_forgets(resources: Json) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + 1
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gets_only_the_settings_it_uses(resources: Json, name: str) -> None:
    variables = set(resources[f"{name}Function"]["Properties"]["Environment"]["Variables"])
    assert variables == ENVIRONMENT[name] | POWERTOOLS


def test_no_role_is_made_behind_our_back(resources: Json) -> None:
    assert set(of_type(resources, "AWS::IAM::Role")) == set(GRANTS)
    assert not of_type(resources, "AWS::IAM::Policy")
    assert not of_type(resources, "AWS::IAM::ManagedPolicy")


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_grants_exactly_what_its_function_calls(resources: Json, role: str) -> None:
    granted: dict[str, set[str]] = {}
    for actions, targets in statements(resources[role]["Properties"]):
        for target in targets:
            granted.setdefault(referred(target), set()).update(actions)
    assert granted == GRANTS[role]
    assert not resources[role]["Properties"].get("ManagedPolicyArns")


BOOKS = {"BUDGET#*", "USAGE#*"}
MINUTES = {"RATE#*"}
ACCOUNT_KEYS: dict[str, dict[str, set[str]]] = {
    "ApiRole": {"dynamodb:Query": BOOKS | MINUTES, "dynamodb:UpdateItem": BOOKS | MINUTES},
    "WorkerRole": {
        "dynamodb:GetItem": {"TENANT#*", "PROVIDER#*"},
        "dynamodb:UpdateItem": BOOKS | MINUTES | {"PROVIDER#*", "THROTTLE#*"},
    },
    "SweeperRole": {"dynamodb:UpdateItem": BOOKS},
}
ACCOUNT_KEYS["DirectRole"] = ACCOUNT_KEYS["WorkerRole"]


@pytest.mark.parametrize("role", ACCOUNT_KEYS)
def test_a_function_writes_the_books_and_neither_keys_nor_tenants(resources: Json, role: str) -> None:
    (policy,) = resources[role]["Properties"]["Policies"]
    bound: dict[str, set[str]] = {}
    for told in policy["PolicyDocument"]["Statement"]:
        if "AccountTable" not in json.dumps(told["Resource"]):
            continue
        actions = [told["Action"]] if isinstance(told["Action"], str) else told["Action"]
        if "Condition" not in told:
            # Who calls is found by the key that came along: only the api reads any item.
            assert (role, actions) == ("ApiRole", ["dynamodb:GetItem"])
            continue
        ((operator, condition),) = told["Condition"].items()
        assert operator == "ForAllValues:StringLike"
        for action in actions:
            bound.setdefault(action, set()).update(condition["dynamodb:LeadingKeys"])
    assert bound == ACCOUNT_KEYS[role]


@pytest.mark.parametrize("role", GRANTS)
def test_no_role_has_a_wildcard(resources: Json, role: str) -> None:
    for actions, targets in statements(resources[role]["Properties"]):
        assert not [action for action in actions if "*" in action]
        # Objects of a bucket have no other name.
        assert not [target for target in targets if "*" in referred(target).removesuffix("PayloadBucket/*")]


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_is_assumed_by_one_service_alone(resources: Json, role: str) -> None:
    (statement,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    service = "scheduler.amazonaws.com" if role == "EveryMinuteRole" else "lambda.amazonaws.com"
    assert statement["Principal"] == {"Service": service}


def test_a_secret_comes_by_its_arn_and_never_by_value(stack: Json) -> None:
    for name in ("Worker", "Direct", "ProviderEvents"):
        variables = stack["Resources"][f"{name}Function"]["Properties"]["Environment"]["Variables"]
        assert referred(variables["PROVIDER_SECRET_ARN"]) == "ProviderSecret|ProviderSecretArn"
    assert stack["Resources"]["ProviderSecret"]["Properties"]["SecretString"] == "{}"
    assert "{{resolve:" not in json.dumps(stack)


def test_every_queue_has_a_dead_letter_queue_and_every_dead_letter_queue_an_alarm(resources: Json) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    dead = {name for name in queues if name.endswith("DeadLetterQueue")}
    for name in set(queues) - dead:
        assert referred(queues[name]["RedrivePolicy"]["deadLetterTargetArn"]) in dead
    alarmed = {
        dimension["Value"]["Fn::GetAtt"][0]: alarm
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    assert set(alarmed) == dead
    for alarm in alarmed.values():
        assert alarm["Threshold"] == 0
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_every_alarm_reaches_the_topic_that_was_given(resources: Json) -> None:
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == {"Fn::If": ["SendsAlarms", [{"Ref": "AlarmTopicArn"}], []]}


def test_a_dead_letter_is_kept_as_long_as_sqs_can(resources: Json) -> None:
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        if name.endswith("DeadLetterQueue"):
            assert timedelta(seconds=queue["MessageRetentionPeriod"]) == timedelta(days=14)


def mappings(resources: Json, source: str) -> dict[str, Json]:
    """Event source mappings, by function, of a kind of source."""
    return {
        each["FunctionName"]["Ref"]: each
        for each in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if resources[each["EventSourceArn"]["Fn::GetAtt"][0]]["Type"] == source
    }


def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_run(resources: Json) -> None:
    """AWS's rule: throttled batches are tried again while they are hidden."""
    found = mappings(resources, "AWS::SQS::Queue")
    assert set(found) == {"WorkerFunction", "DirectFunction", "WebhooksFunction"}
    for function, mapping in found.items():
        queue = resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * resources[function]["Properties"]["Timeout"]


def test_one_bad_message_does_not_bring_back_its_batch(resources: Json) -> None:
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_flood_of_messages_cannot_take_every_function_of_the_account(resources: Json) -> None:
    for mapping in mappings(resources, "AWS::SQS::Queue").values():
        # A number and no parameter: a local CloudFormation hands parameters on as text, and its poller compares.
        assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 50


def test_what_sends_to_its_own_queue_may_call_itself_and_nothing_else_may(resources: Json) -> None:
    allowed = {
        name
        for name, each in of_type(resources, "AWS::Lambda::Function").items()
        if each.get("RecursiveLoop") == "Allow"
    }
    assert allowed == {"WorkerFunction", "DirectFunction"}


def test_a_worker_is_dead_before_its_lease_is_over(resources: Json) -> None:
    assert timedelta(seconds=resources["WorkerFunction"]["Properties"]["Timeout"]) < SUBMIT_LEASE


def test_an_awaited_call_has_all_the_time_that_lambda_gives(resources: Json) -> None:
    assert resources["DirectFunction"]["Properties"]["Timeout"] == 900


@pytest.mark.parametrize("name", ["Api", "ProviderEvents"])
def test_what_serves_http_answers_before_the_gateway_gives_up(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["Timeout"] < 30
    assert resources[f"{name}Integration"]["Properties"]["TimeoutInMillis"] == 30_000
    assert resources[f"{name}Integration"]["Properties"]["PayloadFormatVersion"] == "2.0"


def test_a_webhook_is_sent_as_often_as_its_schedule_says(resources: Json) -> None:
    assert retries(resources["WebhookQueue"]["Properties"]) == MOST_DELIVERIES


def passes(pattern: Any, value: Any) -> bool:
    """Lambda's filter: a list holds the values allowed, an object must match in each of its keys."""
    if isinstance(pattern, list):
        return value in pattern
    return isinstance(value, dict) and all(key in value and passes(each, value[key]) for key, each in pattern.items())


def record(sort_key: str, old: Status | None, new: Status | None) -> Json:
    images = {"OldImage": old, "NewImage": new}
    return {
        "dynamodb": {
            "Keys": {"pk": {"S": "JOB#resp_1"}, "sk": {"S": sort_key}},
            **{name: {"status": {"S": status}} for name, status in images.items() if status},
        }
    }


def test_only_the_step_into_an_end_is_announced(resources: Json) -> None:
    (mapping,) = mappings(resources, "AWS::DynamoDB::Table").values()
    (criterion,) = mapping["FilterCriteria"]["Filters"]
    pattern = json.loads(criterion["Pattern"])
    statuses: tuple[Status, ...] = get_args(Status)
    for old, new in product((*statuses, None), (*statuses, None)):
        ends = old is not None and old not in TERMINAL and new in TERMINAL
        assert passes(pattern, record("STATE", old, new)) is ends, (old, new)
        assert not passes(pattern, record("OUTPUT#1", old, new))


def test_a_poison_stream_record_cannot_hold_up_the_others_for_ever(resources: Json) -> None:
    (mapping,) = mappings(resources, "AWS::DynamoDB::Table").values()
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 0 < mapping["MaximumRetryAttempts"] <= 20
    assert referred(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == "StreamDeadLetterQueue"


def test_the_subscription_delivers_raw_only_what_has_a_webhook_and_loses_nothing(resources: Json) -> None:
    (subscription,) = of_type(resources, "AWS::SNS::Subscription").values()
    assert subscription["RawMessageDelivery"] is True
    assert subscription["FilterPolicy"] == {"webhook": ["true"]}
    assert referred(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "WebhookDeadLetterQueue"


def test_the_topic_alone_may_write_to_the_webhook_queues(resources: Json) -> None:
    (policy,) = of_type(resources, "AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert [referred(each) for each in statement["Resource"]] == ["WebhookQueue", "WebhookDeadLetterQueue"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "CompletionTopic"}}}


@pytest.mark.parametrize("name", ["JobTable", "AccountTable"])
def test_a_table_forgets_in_time_and_can_be_brought_back(resources: Json, name: str) -> None:
    table = resources[name]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("name", ["JobTable", "AccountTable", "PayloadBucket", "SecretsKey"])
def test_deleting_the_stack_keeps_what_cannot_be_made_again(resources: Json, name: str) -> None:
    assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resources[name]["UpdateReplacePolicy"] == "Retain"


def test_the_stream_shows_what_a_job_was_and_is(resources: Json) -> None:
    assert resources["JobTable"]["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_the_bucket_is_private_encrypted_and_outlives_what_points_into_it(resources: Json) -> None:
    bucket = resources["PayloadBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert timedelta(days=rule["ExpirationInDays"]) > CONTENT_KEPT


def test_the_bucket_refuses_plain_http_unless_told_otherwise(stack: Json) -> None:
    policy = stack["Resources"]["PayloadBucketPolicy"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert policy["Condition"] == "RequiresTls"
    assert stack["Parameters"]["RequireTls"]["Default"] == "true"


def test_the_http_api_is_throttled_and_its_log_holds_no_header(resources: Json) -> None:
    stage = resources["ApiStage"]["Properties"]
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == {"Ref": "ApiBurst"}
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert not [value for value in logged.values() if re.search(r"header|authorizer|query|body", value, re.IGNORECASE)]


@pytest.mark.parametrize(
    ("name", "route", "called"),
    [
        ("Api", "$default", "$default"),
        ("ProviderEvents", "POST /v1/provider_events/{provider}", "POST/v1/provider_events/*"),
    ],
)
def test_a_route_leads_to_its_function_which_the_gateway_alone_may_call(
    resources: Json, name: str, route: str, called: str
) -> None:
    found = resources[f"{name}Route"]["Properties"]
    assert found["RouteKey"] == route
    assert found["Target"] == {"Fn::Sub": f"integrations/${{{name}Integration}}"}
    assert f"${{{name}Function.Arn}}" in resources[f"{name}Integration"]["Properties"]["IntegrationUri"]["Fn::Sub"]
    permission = resources[f"{name}Permission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": f"{name}Function"}
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(f":${{HttpApi}}/*/{called}")


def test_there_are_no_other_doors(resources: Json) -> None:
    for kind in ("AWS::ApiGatewayV2::Route", "AWS::Lambda::Permission"):
        assert len(of_type(resources, kind)) == 2


@pytest.mark.parametrize("metric", ["CostOverruns", "ProviderPaused"])
def test_what_costs_or_stops_money_is_heard_from_whoever_calls_models(resources: Json, metric: str) -> None:
    alarms = [alarm for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values() if alarm["MetricName"] == metric]
    services = [
        resources[f"{name}Function"]["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for name in ("Worker", "Direct")
    ]
    assert [alarm["Dimensions"] for alarm in alarms] == [[{"Name": "service", "Value": each}] for each in services]
    for alarm in alarms:
        assert (alarm["Namespace"], alarm["Statistic"]) == ("Afterthought", "Sum")
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_the_sweeper_runs_every_minute_and_its_silence_is_heard(resources: Json) -> None:
    (schedule,) = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert referred(schedule["Target"]["Arn"]) == "SweeperFunction"
    silence = resources["SweeperAlarm"]["Properties"]
    assert silence["TreatMissingData"] == "breaching"
    assert silence["MetricName"] == "Invocations"


def test_the_url_of_the_events_is_the_route_with_the_first_providers_name(stack: Json) -> None:
    url, names = stack["Outputs"]["ProviderEventsUrl"]["Value"]["Fn::Sub"]
    assert url == "${HttpApi.ApiEndpoint}/v1/provider_events/${Provider}"
    assert names == {"Provider": {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Providers"}]}]}}


def test_the_base_url_is_what_an_sdk_is_given(stack: Json) -> None:
    assert stack["Outputs"]["ApiBaseUrl"]["Value"] == {"Fn::Sub": "${HttpApi.ApiEndpoint}/v1"}


def test_no_call_to_aws_outlasts_the_shortest_function(template: Json) -> None:
    timeouts = [
        resource["Properties"].get("Timeout", template["Globals"]["Function"]["Timeout"])
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    # Before its second and third attempt botocore's standard mode waits up to 1 s and 2 s.
    # (The types of botocore do not know what a Config holds.)
    configs: tuple[Any, ...] = (aws.CONFIG, aws.QUEUE_CONFIG)
    longest = [
        config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) + 3 for config in configs
    ]
    assert longest[0] < min(timeouts)
    # The api sends its message when the job is stored and other calls have taken their time.
    assert longest[1] < min(timeouts) / 2


def test_a_failed_sweep_is_left_to_the_next_minute(template: Json) -> None:
    assert template["Resources"]["SweeperFunction"]["Properties"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
