"""The guard: alarms on every function's alias, and the function that takes the standby for one.

An alias's metrics have exactly the dimensions FunctionName and Resource=FUNCTION:ALIAS: an alarm with fewer or more
dimensions gets no data (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-view.html). There is one alarm
for each function and metric, and one composite alarm for each service; only the composite alarms notify. (One
metric-math alarm would not do: it takes at most ten metrics.) An alarm on a function without calls does not breach.
Only CloudWatch of this account may publish to the topic.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from rollback.config.naming import GUARD, PACKAGE_RUNTIME

from .permissions import function_policies, inline_policy
from .permits import permit
from .policies import Document, Scope, denial, document, statement, text
from .tags import tags

# CloudWatch's name for each metric, and the statistic of a minute: a sum or a percentile.
_METRICS: Mapping[str, tuple[str, str]] = {
    "errors": ("Errors", ""),
    "duration": ("Duration", "p99"),
    "throttles": ("Throttles", ""),
}
_MINUTE = 60
# Limits of one composite alarm: the alarms in its rule, and the characters of the rule ("CloudWatch quotas",
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html; PutCompositeAlarm, AlarmRule).
_CHILDREN, _RULE = 100, 10_240
_FAILED_DAYS = 14
# MB that come with one whole vCPU ("Configure Lambda function memory", AWS Lambda Developer Guide), for a fast cold
# start.
_MEMORY = 1769
ARCHITECTURE = "x86_64"
HANDLER = "rollback.guard.function.handler"


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardArgs:
    """Its scope, the ARN of its boundary; services with the full names of their functions; metric
    (`errors`, `duration`, `throttles`) → threshold, and for how many consecutive minutes; its package (`rollback guard
    build`) and the runtime that it must be for, its timeout in seconds.
    """

    scope: Scope
    boundary: pulumi.Input[str]
    services: Mapping[str, Sequence[str]]
    thresholds: Mapping[str, int]
    minutes: int
    package: Path
    runtime: str
    timeout_seconds: int


class Guard(pulumi.ComponentResource):
    """The alarms, the two topics, the queue, the function, its role, and the role of its schedules."""

    function_arn: pulumi.Output[str]
    reports_arn: pulumi.Output[str]

    def __init__(self, name: str, args: GuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rollback:index:Guard", name, None, opts)
        self._args, self._tags = args, tags(args.scope.names, GUARD)
        self._own = pulumi.ResourceOptions(parent=self)
        names, scope = args.scope.names, args.scope
        if (built_for := _built_for(args.package)) != args.runtime:
            what = f"is for {built_for}, not {args.runtime}" if built_for else "does not exist"
            raise pulumi.RunError(
                f"The guard's package {args.package} {what}. Build it: rollback guard build --env {names.environment}"
            )
        topic = aws.sns.Topic("guard-alarms", name=names.guard_alarms, tags=self._tags, opts=self._own)
        aws.sns.TopicPolicy("guard-alarms", arn=topic.arn, policy=text(publishers(scope)), opts=self._own)
        reports = aws.sns.Topic("guard-reports", name=names.guard_reports, tags=self._tags, opts=self._own)
        failed = aws.sqs.Queue(
            "guard-failed",
            name=names.guard_failed,
            message_retention_seconds=_FAILED_DAYS * 24 * 3600,
            tags=self._tags,
            opts=self._own,
        )
        function = self._function(self._role(), failed)
        aws.lambda_.Permission(
            "guard-alarms",
            statement_id="alarms",
            function=function.name,
            action="lambda:InvokeFunction",
            principal="sns.amazonaws.com",
            source_arn=topic.arn,
            source_account=scope.account,
            opts=self._own,
        )
        aws.sns.TopicSubscription(
            "guard-alarms", topic=topic.arn, protocol="lambda", endpoint=function.arn, opts=self._own
        )
        for service, functions in args.services.items():
            self._service(service, functions, topic)
        self.function_arn, self.reports_arn = function.arn, reports.arn
        self.register_outputs({"functionArn": self.function_arn, "reportsArn": self.reports_arn})

    def _role(self) -> aws.iam.Role:
        """The function's role; and the role of its schedules, which may only invoke the function."""
        scope, names = self._args.scope, self._args.scope.names
        role = aws.iam.Role(
            GUARD,
            name=names.role(GUARD),
            description="The guard: takes a standby for an alarm, and records it",
            assume_role_policy=text(_trust("lambda.amazonaws.com", {})),
            permissions_boundary=self._args.boundary,
            tags=self._tags,
            opts=self._own,
        )
        permit(
            self,
            GUARD,
            role,
            scope=scope,
            tagged=self._tags,
            inline=inline_policy(GUARD, scope),
            functions=lambda scope: function_policies(GUARD, scope),
        )
        schedule = aws.iam.Role(
            "guard-schedule",
            name=names.guard_schedule,
            description="The guard's schedules: invokes it once, minutes after a rollback",
            assume_role_policy=text(
                _trust("scheduler.amazonaws.com", {"StringEquals": {"aws:SourceAccount": scope.account}})
            ),
            permissions_boundary=self._args.boundary,
            tags=self._tags,
            opts=self._own,
        )
        invoke = statement("InvokeGuard", ["lambda:InvokeFunction"], scope.guard_function)
        aws.iam.RolePolicy(
            "guard-schedule",
            name="permissions",
            role=schedule.name,
            policy=text(document([invoke])),
            opts=self._own,
        )
        return role

    def _function(self, role: aws.iam.Role, failed: aws.sqs.Queue) -> aws.lambda_.Function:
        args, names = self._args, self._args.scope.names
        function = aws.lambda_.Function(
            GUARD,
            name=names.guard,
            description="Takes the standby when an alarm of a release fires",
            code=pulumi.FileArchive(str(args.package)),
            source_code_hash=base64.b64encode(hashlib.sha256(args.package.read_bytes()).digest()).decode(),
            role=role.arn,
            handler=HANDLER,
            runtime=args.runtime,
            architectures=[ARCHITECTURE],
            memory_size=_MEMORY,
            timeout=args.timeout_seconds,
            environment={"variables": {"ROLLBACK_GUARD_ENVIRONMENT": names.environment}},
            dead_letter_config={"target_arn": failed.arn},
            # The function handles alarms one after the other: the second finds what the first has done.
            reserved_concurrent_executions=1,
            tags=self._tags,
            opts=self._own,
        )
        aws.lambda_.FunctionEventInvokeConfig(
            GUARD,
            function_name=function.name,
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=3600,
            opts=self._own,
        )
        return function

    def _service(self, service: str, functions: Sequence[str], topic: aws.sns.Topic) -> None:
        names = self._args.scope.names
        made = [
            self._metric(function, metric, threshold)
            for function in functions
            for metric, threshold in self._args.thresholds.items()
        ]
        parts = list(parts_of([alarm for alarm, _ in made]))
        below: list[pulumi.Resource] = [resource for _, resource in made]
        rules = [rule(part) for part in parts]
        if len(parts) > 1:
            named = [names.metric_alarm(service, f"part-{number}") for number, _ in enumerate(parts, start=1)]
            below = [
                self._composite(name, one, below, topic=None) for name, one in zip(named, rules, strict=True)
            ]
            rules = [rule(named)]
        self._composite(names.alarm(service), rules[0], below, topic=topic)

    def _metric(self, function: str, metric: str, threshold: int) -> tuple[str, pulumi.Resource]:
        args = self._args
        name = args.scope.names.metric_alarm(function, metric)
        metric_name, percentile = _METRICS[metric]
        return name, aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=f"{metric_name} of {function}:{args.scope.alias}",
            namespace="AWS/Lambda",
            metric_name=metric_name,
            dimensions={"FunctionName": function, "Resource": f"{function}:{args.scope.alias}"},
            period=_MINUTE,
            evaluation_periods=args.minutes,
            threshold=threshold,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data="notBreaching",
            tags=self._tags,
            statistic=None if percentile else "Sum",
            extended_statistic=percentile or None,
            opts=self._own,
        )

    def _composite(
        self, name: str, of: str, below: Sequence[pulumi.Resource], *, topic: aws.sns.Topic | None
    ) -> pulumi.Resource:
        return aws.cloudwatch.CompositeAlarm(
            name,
            alarm_name=name,
            alarm_description="Any alarm of its functions",
            alarm_rule=of,
            alarm_actions=[topic.arn] if topic else [],
            tags=self._tags,
            opts=pulumi.ResourceOptions.merge(self._own, pulumi.ResourceOptions(depends_on=list(below))),
        )


def _built_for(package: Path) -> str:
    """The runtime that a package was built for; empty if there is no package."""
    if not package.is_file():
        return ""
    try:
        with zipfile.ZipFile(package) as archive:
            return archive.read(PACKAGE_RUNTIME).decode().strip()
    except (zipfile.BadZipFile, KeyError):
        return "nothing that is known"


def rule(alarms: Sequence[str]) -> str:
    """The rule of a composite alarm: any of these is in ALARM."""
    return " OR ".join(f'ALARM("{name}")' for name in alarms)


def parts_of(alarms: Sequence[str]) -> Iterator[list[str]]:
    """Splits alarms into consecutive lists, each as long as one composite alarm allows."""
    run: list[str] = []
    for name in alarms:
        if len(run) == _CHILDREN or (run and len(rule([*run, name])) > _RULE):
            yield run
            run = []
        run.append(name)
    yield run


def publishers(scope: Scope) -> Document:
    """The policy of the alarms' topic: only CloudWatch may publish, for the guard's alarms in this account; all others
    are denied, whatever their own policies allow ("Amazon SNS permissions",
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/US_SetupSNS.html).
    """
    topic = scope.topic(scope.names.guard_alarms)
    return document(
        [
            {
                **statement(
                    "Alarms",
                    ["sns:Publish"],
                    topic,
                    {
                        "ArnLike": {"aws:SourceArn": scope.guard_alarms},
                        "StringEquals": {"aws:SourceAccount": scope.account},
                    },
                ),
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
            },
            {
                **denial(
                    "NobodyElse", ["sns:Publish"], topic, {"Bool": {"aws:PrincipalIsAWSService": "false"}}
                ),
                "Principal": "*",
            },
        ]
    )


def _trust(service: str, condition: Document) -> Document:
    taken = {
        "Sid": "Service",
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return document([{**taken, **({"Condition": condition} if condition else {})}])
