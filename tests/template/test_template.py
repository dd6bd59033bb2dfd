"""Rules for the stack, checked on the transformed template."""

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
from afterthought.domain.jobs.schedule import CALL_LEASE, CONTENT_RETENTION, MAX_DELIVERIES
from afterthought.domain.jobs.status import TERMINAL, Status

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("Api", "Worker", "Direct", "ProviderEvents", "Notifier", "Webhooks", "Sweeper")

# The permissions of an event source mapping, and of functions that change a message's visibility.
CONSUMES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
HIDES = {"sqs:ChangeMessageVisibility"}
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
        "JobQueue": CONSUMES | HIDES | {"sqs:SendMessage"},
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
        "WebhookQueue": CONSUMES | HIDES,
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


def of_type(resources: Json, type_: str) -> dict[str, Json]:
    return {name: each.get("Properties", {}) for name, each in resources.items() if each["Type"] == type_}


def name_of(value: Any) -> str:
    """A short name of a resource reference: `JobTable`, `PayloadBucket/*`, `JobTable.StreamArn`."""
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
            return f"{name_of(yes)}|{name_of(no)}"
    raise AssertionError(f"not a reference to a resource: {value!r}")


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


def test_template_passes_cfn_lint() -> None:
    assert [str(match) for match in lint((ROOT / "template.yaml").read_text())] == []


def test_transformed_template_passes_cfn_lint(stack: Json) -> None:
    assert [str(match) for match in lint(json.dumps(stack))] == []


def test_parameters_and_outputs_have_descriptions(template: Json) -> None:
    for section in ("Parameters", "Outputs"):
        undescribed = [name for name, each in template[section].items() if len(each.get("Description", "")) < 10]
        assert undescribed == []


def test_parameters_have_defaults(template: Json) -> None:
    assert [name for name, each in template["Parameters"].items() if "Default" not in each] == []


def test_functions(resources: Json) -> None:
    assert set(of_type(resources, "AWS::Lambda::Function")) == {f"{name}Function" for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_runtime(resources: Json, name: str) -> None:
    function = resources[f"{name}Function"]["Properties"]
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == ["arm64"]
    assert function["Handler"] == "app.handler"
    (layer,) = function["Layers"]
    assert resources[layer["Ref"]]["Properties"]["CompatibleArchitectures"] == ["arm64"]


def test_layer_is_built_for_arm64(template: Json) -> None:
    layer = template["Resources"]["AfterthoughtLayer"]
    assert layer["Metadata"] == {"BuildMethod": "python3.13", "BuildArchitecture": "arm64"}
    assert layer["Properties"]["RetentionPolicy"] == "Delete"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_its_own_role(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_its_own_log_group(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lambda_platform_logs_are_off(resources: Json, name: str) -> None:
    """START, END and REPORT lines would be most of the log cost. Levels need the JSON format."""
    logging = resources[f"{name}Function"]["Properties"]["LoggingConfig"]
    assert logging["LogFormat"] == "JSON"
    assert logging["SystemLogLevel"] == "WARN"
    assert logging["ApplicationLogLevel"] == {"Ref": "LogLevel"}


def test_log_groups_have_retention(resources: Json) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert len(groups) == len(FUNCTIONS) + 1
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_has_only_the_variables_it_uses(resources: Json, name: str) -> None:
    variables = set(resources[f"{name}Function"]["Properties"]["Environment"]["Variables"])
    assert variables == ENVIRONMENT[name] | POWERTOOLS


def test_no_generated_roles(resources: Json) -> None:
    assert set(of_type(resources, "AWS::IAM::Role")) == set(GRANTS)
    assert not of_type(resources, "AWS::IAM::Policy")
    assert not of_type(resources, "AWS::IAM::ManagedPolicy")


@pytest.mark.parametrize("role", GRANTS)
def test_role_grants_exactly(resources: Json, role: str) -> None:
    granted: dict[str, set[str]] = {}
    for actions, targets in statements(resources[role]["Properties"]):
        for target in targets:
            granted.setdefault(name_of(target), set()).update(actions)
    assert granted == GRANTS[role]
    assert not resources[role]["Properties"].get("ManagedPolicyArns")


LEDGER = {"BUDGET#*", "USAGE#*"}
RATE_LIMITS = {"RATE#*"}
ACCOUNT_KEYS: dict[str, dict[str, set[str]]] = {
    "ApiRole": {"dynamodb:Query": LEDGER | RATE_LIMITS, "dynamodb:UpdateItem": LEDGER | RATE_LIMITS},
    "WorkerRole": {
        "dynamodb:GetItem": {"TENANT#*", "PROVIDER#*"},
        "dynamodb:UpdateItem": LEDGER | RATE_LIMITS | {"PROVIDER#*", "THROTTLE#*"},
    },
    "SweeperRole": {"dynamodb:UpdateItem": LEDGER},
}
ACCOUNT_KEYS["DirectRole"] = ACCOUNT_KEYS["WorkerRole"]


@pytest.mark.parametrize("role", ACCOUNT_KEYS)
def test_role_is_limited_to_account_item_prefixes(resources: Json, role: str) -> None:
    """No function writes API keys or tenants."""
    (policy,) = resources[role]["Properties"]["Policies"]
    prefixes: dict[str, set[str]] = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        if "AccountTable" not in json.dumps(statement["Resource"]):
            continue
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        if "Condition" not in statement:
            # Only the api, which authenticates callers, may read any item.
            assert (role, actions) == ("ApiRole", ["dynamodb:GetItem"])
            continue
        ((operator, condition),) = statement["Condition"].items()
        assert operator == "ForAllValues:StringLike"
        for action in actions:
            prefixes.setdefault(action, set()).update(condition["dynamodb:LeadingKeys"])
    assert prefixes == ACCOUNT_KEYS[role]


@pytest.mark.parametrize("role", GRANTS)
def test_role_has_no_wildcard(resources: Json, role: str) -> None:
    for actions, targets in statements(resources[role]["Properties"]):
        assert not [action for action in actions if "*" in action]
        # Objects of a bucket need a wildcard.
        assert not [target for target in targets if "*" in name_of(target).removesuffix("PayloadBucket/*")]


@pytest.mark.parametrize("role", GRANTS)
def test_role_is_assumed_by_one_service(resources: Json, role: str) -> None:
    (statement,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    service = "scheduler.amazonaws.com" if role == "EveryMinuteRole" else "lambda.amazonaws.com"
    assert statement["Principal"] == {"Service": service}


def test_secret_is_passed_by_arn(stack: Json) -> None:
    for name in ("Worker", "Direct", "ProviderEvents"):
        variables = stack["Resources"][f"{name}Function"]["Properties"]["Environment"]["Variables"]
        assert name_of(variables["PROVIDER_SECRET_ARN"]) == "ProviderSecret|ProviderSecretArn"
    assert stack["Resources"]["ProviderSecret"]["Properties"]["SecretString"] == "{}"
    assert "{{resolve:" not in json.dumps(stack)


def test_queues_have_dead_letter_queues_with_alarms(resources: Json) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    dead_letter_queues = {name for name in queues if name.endswith("DeadLetterQueue")}
    for name in set(queues) - dead_letter_queues:
        assert name_of(queues[name]["RedrivePolicy"]["deadLetterTargetArn"]) in dead_letter_queues
    alarms = {
        dimension["Value"]["Fn::GetAtt"][0]: alarm
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm["Dimensions"]
    }
    assert set(alarms) == dead_letter_queues
    for alarm in alarms.values():
        assert alarm["Threshold"] == 0
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_alarms_go_to_the_alarm_topic(resources: Json) -> None:
    for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values():
        assert alarm["AlarmActions"] == {"Fn::If": ["SendsAlarms", [{"Ref": "AlarmTopicArn"}], []]}


def test_dead_letters_are_kept_14_days(resources: Json) -> None:
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        if name.endswith("DeadLetterQueue"):
            assert timedelta(seconds=queue["MessageRetentionPeriod"]) == timedelta(days=14)


def mappings(resources: Json, source: str) -> dict[str, Json]:
    """Event source mappings by function, for one type of source."""
    return {
        each["FunctionName"]["Ref"]: each
        for each in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if resources[each["EventSourceArn"]["Fn::GetAtt"][0]]["Type"] == source
    }


def test_visibility_is_six_function_timeouts(resources: Json) -> None:
    """AWS recommends it: throttled batches are retried while they are hidden."""
    queue_mappings = mappings(resources, "AWS::SQS::Queue")
    assert set(queue_mappings) == {"WorkerFunction", "DirectFunction", "WebhooksFunction"}
    for function, mapping in queue_mappings.items():
        queue = resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * resources[function]["Properties"]["Timeout"]


def test_batches_report_partial_failures(resources: Json) -> None:
    for mapping in of_type(resources, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_queue_concurrency_is_limited(resources: Json) -> None:
    for mapping in mappings(resources, "AWS::SQS::Queue").values():
        # A number, not a parameter: a local CloudFormation passes parameters as text, and its poller compares numbers.
        assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 50


def test_recursive_loop_is_allowed_where_needed(resources: Json) -> None:
    allowed = {
        name
        for name, each in of_type(resources, "AWS::Lambda::Function").items()
        if each.get("RecursiveLoop") == "Allow"
    }
    assert allowed == {"WorkerFunction", "DirectFunction"}


def test_worker_timeout_is_below_submit_lease(resources: Json) -> None:
    assert timedelta(seconds=resources["WorkerFunction"]["Properties"]["Timeout"]) < CALL_LEASE


def test_direct_function_has_the_maximum_timeout(resources: Json) -> None:
    assert resources["DirectFunction"]["Properties"]["Timeout"] == 900


@pytest.mark.parametrize("name", ["Api", "ProviderEvents"])
def test_http_functions_end_before_the_gateway(resources: Json, name: str) -> None:
    assert resources[f"{name}Function"]["Properties"]["Timeout"] < 30
    assert resources[f"{name}Integration"]["Properties"]["TimeoutInMillis"] == 30_000
    assert resources[f"{name}Integration"]["Properties"]["PayloadFormatVersion"] == "2.0"


def test_webhook_attempts_match_the_schedule(resources: Json) -> None:
    assert retries(resources["WebhookQueue"]["Properties"]) == MAX_DELIVERIES


def passes(pattern: Any, value: Any) -> bool:
    """Lambda's filter rules: a list has the allowed values, an object must match in every key."""
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


def test_stream_filter_passes_only_the_end_of_a_job(resources: Json) -> None:
    (mapping,) = mappings(resources, "AWS::DynamoDB::Table").values()
    (criterion,) = mapping["FilterCriteria"]["Filters"]
    pattern = json.loads(criterion["Pattern"])
    statuses: tuple[Status, ...] = get_args(Status)
    for old, new in product((*statuses, None), (*statuses, None)):
        ends = old is not None and old not in TERMINAL and new in TERMINAL
        assert passes(pattern, record("STATE", old, new)) is ends, (old, new)
        assert not passes(pattern, record("OUTPUT#1", old, new))


def test_failing_stream_record_is_dead_lettered(resources: Json) -> None:
    (mapping,) = mappings(resources, "AWS::DynamoDB::Table").values()
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 0 < mapping["MaximumRetryAttempts"] <= 20
    assert name_of(mapping["DestinationConfig"]["OnFailure"]["Destination"]) == "StreamDeadLetterQueue"


def test_webhook_subscription(resources: Json) -> None:
    (subscription,) = of_type(resources, "AWS::SNS::Subscription").values()
    assert subscription["RawMessageDelivery"] is True
    assert subscription["FilterPolicy"] == {"webhook": ["true"]}
    assert name_of(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "WebhookDeadLetterQueue"


def test_only_the_topic_sends_to_webhook_queues(resources: Json) -> None:
    (policy,) = of_type(resources, "AWS::SQS::QueuePolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert [name_of(each) for each in statement["Resource"]] == ["WebhookQueue", "WebhookDeadLetterQueue"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Ref": "CompletionTopic"}}}


@pytest.mark.parametrize("name", ["JobTable", "AccountTable"])
def test_tables_have_ttl_and_recovery(resources: Json, name: str) -> None:
    table = resources[name]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("name", ["JobTable", "AccountTable", "PayloadBucket", "SecretsKey"])
def test_data_survives_stack_deletion(resources: Json, name: str) -> None:
    assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resources[name]["UpdateReplacePolicy"] == "Retain"


def test_stream_has_old_and_new_images(resources: Json) -> None:
    assert resources["JobTable"]["Properties"]["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}


def test_payload_bucket(resources: Json) -> None:
    bucket = resources["PayloadBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert timedelta(days=rule["ExpirationInDays"]) > CONTENT_RETENTION


def test_payload_bucket_requires_tls(stack: Json) -> None:
    policy = stack["Resources"]["PayloadBucketPolicy"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert policy["Condition"] == "RequiresTls"
    assert stack["Parameters"]["RequireTls"]["Default"] == "true"


def test_http_api_is_throttled_and_logs_no_header(resources: Json) -> None:
    stage = resources["ApiStage"]["Properties"]
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == {"Ref": "ApiBurst"}
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert not [value for value in logged.values() if re.search(r"header|authorizer|query|body", value, re.IGNORECASE)]


@pytest.mark.parametrize(
    ("name", "route", "source"),
    [
        ("Api", "$default", "$default"),
        ("ProviderEvents", "POST /v1/provider_events/{provider}", "POST/v1/provider_events/*"),
    ],
)
def test_route_and_invoke_permission(resources: Json, name: str, route: str, source: str) -> None:
    properties = resources[f"{name}Route"]["Properties"]
    assert properties["RouteKey"] == route
    assert properties["Target"] == {"Fn::Sub": f"integrations/${{{name}Integration}}"}
    assert f"${{{name}Function.Arn}}" in resources[f"{name}Integration"]["Properties"]["IntegrationUri"]["Fn::Sub"]
    permission = resources[f"{name}Permission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": f"{name}Function"}
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(f":${{HttpApi}}/*/{source}")


def test_no_other_routes(resources: Json) -> None:
    for type_ in ("AWS::ApiGatewayV2::Route", "AWS::Lambda::Permission"):
        assert len(of_type(resources, type_)) == 2


@pytest.mark.parametrize("metric", ["CostOverruns", "ProviderPaused"])
def test_money_metrics_have_alarms(resources: Json, metric: str) -> None:
    alarms = [alarm for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values() if alarm["MetricName"] == metric]
    services = [
        resources[f"{name}Function"]["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for name in ("Worker", "Direct")
    ]
    assert [alarm["Dimensions"] for alarm in alarms] == [[{"Name": "service", "Value": each}] for each in services]
    for alarm in alarms:
        assert (alarm["Namespace"], alarm["Statistic"]) == ("Afterthought", "Sum")
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)


def test_sweeper_schedule_and_alarm(resources: Json) -> None:
    (schedule,) = of_type(resources, "AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert name_of(schedule["Target"]["Arn"]) == "SweeperFunction"
    alarm = resources["SweeperAlarm"]["Properties"]
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["MetricName"] == "Invocations"


def test_provider_events_url(stack: Json) -> None:
    url, names = stack["Outputs"]["ProviderEventsUrl"]["Value"]["Fn::Sub"]
    assert url == "${HttpApi.ApiEndpoint}/v1/provider_events/${Provider}"
    assert names == {"Provider": {"Fn::Select": [0, {"Fn::Split": [",", {"Ref": "Providers"}]}]}}


def test_api_base_url(stack: Json) -> None:
    assert stack["Outputs"]["ApiBaseUrl"]["Value"] == {"Fn::Sub": "${HttpApi.ApiEndpoint}/v1"}


def test_aws_calls_end_before_the_shortest_function(template: Json) -> None:
    timeouts = [
        resource["Properties"].get("Timeout", template["Globals"]["Function"]["Timeout"])
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    # botocore's standard mode waits up to 1 s and 2 s before the second and third attempt.
    # `Any`, because botocore's stubs do not declare the attributes of Config.
    configs: tuple[Any, ...] = (aws.CONFIG, aws.QUEUE_CONFIG)
    longest = [
        config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) + 3 for config in configs
    ]
    assert longest[0] < min(timeouts)
    # The api sends its message last, after its other calls.
    assert longest[1] < min(timeouts) / 2


def test_failed_sweep_is_not_retried_by_lambda(template: Json) -> None:
    assert template["Resources"]["SweeperFunction"]["Properties"]["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
