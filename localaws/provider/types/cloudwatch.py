"""CloudWatch: alarms of a metric, and of other alarms."""

# ruff: noqa: ARG002 (the arguments are those of the protocol)

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Final

from localaws.provider.cloud import Cloud, as_list, as_map
from localaws.provider.resource import ReadResult, Resource
from localaws.provider.schema import REGION, TAGS, CheckFailure, Field
from localaws.provider.types.iam import tag_changes
from localaws.provider.values import Values

_ACTIONS: Final = {
    "actionsEnabled": Field(kind="bool", default=True),
    "alarmActions": Field(kind="set"),
    "okActions": Field(kind="set"),
    "insufficientDataActions": Field(kind="set"),
    "alarmDescription": Field(),
    "tags": TAGS,
    "region": REGION,
}
_COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
)
_AWS_NAMES: Final = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluationPeriods": "EvaluationPeriods",
    "extendedStatistic": "ExtendedStatistic",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
}


class _Alarm(Resource):
    """What both kinds have: they are put whole, and are known by their names."""

    outputs: ClassVar = ("arn", "tagsAll")
    name: ClassVar[str]
    kind: ClassVar[str]

    def put(self, cloud: Cloud, inputs: Values, tags: list[Any]) -> None:
        raise NotImplementedError

    def create(self, cloud: Cloud, inputs: Values) -> str:
        self.put(cloud, inputs, cloud.tag_list(inputs))
        return str(inputs[self.name])

    def existing_id(self, cloud: Cloud, inputs: Values) -> str:
        return str(inputs[self.name])

    def read(self, cloud: Cloud, id_: str, known: Values) -> ReadResult | None:
        client = cloud.alarms(known)
        found = client.describe_alarms(AlarmNames=[id_], AlarmTypes=[self.kind])[f"{self.kind}s"]
        if not found:
            return None
        alarm = found[0]
        state: Values = {
            key: alarm[aws] for key, aws in _AWS_NAMES.items() if aws in alarm and key in self.fields
        }
        state |= {
            self.name: alarm["AlarmName"],
            "arn": alarm["AlarmArn"],
            "tagsAll": as_map(client.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]),
            "region": cloud.region_of(known),
        }
        return ReadResult(id=id_, state={**state, **self.more(alarm)})

    def more(self, alarm: Values) -> Values:
        """What is kept in another form than it is asked for."""
        return {}

    def update(self, cloud: Cloud, id_: str, old: Values, new: Values, changed: Collection[str]) -> None:
        client = cloud.alarms(old)
        if set(changed) - {"tags", "tagsAll"}:
            self.put(cloud, new, [])
        gone, added = tag_changes(cloud, old, new)
        if gone:
            client.untag_resource(ResourceARN=old["arn"], TagKeys=gone)
        if added:
            client.tag_resource(ResourceARN=old["arn"], Tags=as_list(added))

    def delete(self, cloud: Cloud, id_: str, state: Values) -> None:
        cloud.alarms(state).delete_alarms(AlarmNames=[id_])

    def settings(self, inputs: Values, tags: list[Any]) -> dict[str, Any]:
        made = {aws: inputs[key] for key, aws in _AWS_NAMES.items() if inputs.get(key) is not None}
        return {"AlarmName": inputs[self.name], **made, **({"Tags": tags} if tags else {})}


class MetricAlarm(_Alarm):
    """`aws:cloudwatch/metricAlarm:MetricAlarm`, known by its name; of one metric, no expression."""

    pulumi_type: ClassVar = "aws:cloudwatch/metricAlarm:MetricAlarm"
    fields: ClassVar = {
        "name": Field(replaces=True, autoname=True),
        "namespace": Field(required=True),
        "metricName": Field(required=True),
        "dimensions": Field(kind="map"),
        "statistic": Field(choices=("SampleCount", "Average", "Sum", "Minimum", "Maximum")),
        "extendedStatistic": Field(),
        "period": Field(kind="number", required=True),
        "evaluationPeriods": Field(kind="number", required=True),
        "datapointsToAlarm": Field(kind="number"),
        "threshold": Field(kind="number", required=True),
        "comparisonOperator": Field(required=True, choices=_COMPARISONS),
        "treatMissingData": Field(
            default="missing", choices=("missing", "ignore", "breaching", "notBreaching")
        ),
        **_ACTIONS,
    }
    identity: ClassVar = ("name", "region")
    name: ClassVar = "name"
    kind: ClassVar = "MetricAlarm"

    def problems(self, inputs: Values) -> Iterator[CheckFailure]:
        if ("statistic" in inputs) == ("extendedStatistic" in inputs):
            yield CheckFailure(
                key="statistic", reason="exactly one of 'statistic' and 'extendedStatistic' must be given"
            )

    def put(self, cloud: Cloud, inputs: Values, tags: list[Any]) -> None:
        dimensions = [{"Name": key, "Value": value} for key, value in inputs.get("dimensions", {}).items()]
        cloud.alarms(inputs).put_metric_alarm(**self.settings(inputs, tags), Dimensions=dimensions)

    def more(self, alarm: Values) -> Values:
        dimensions = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", ())}
        # The emulator says `Average` of one that has an extended statistic.
        return {"dimensions": dimensions, **({"statistic": None} if alarm.get("ExtendedStatistic") else {})}


class CompositeAlarm(_Alarm):
    """`aws:cloudwatch/compositeAlarm:CompositeAlarm`, known by its name."""

    pulumi_type: ClassVar = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
    fields: ClassVar = {
        "alarmName": Field(required=True, replaces=True),
        "alarmRule": Field(required=True),
        **_ACTIONS,
    }
    identity: ClassVar = ("alarmName", "region")
    name: ClassVar = "alarmName"
    kind: ClassVar = "CompositeAlarm"

    def put(self, cloud: Cloud, inputs: Values, tags: list[Any]) -> None:
        cloud.alarms(inputs).put_composite_alarm(**self.settings(inputs, tags), AlarmRule=inputs["alarmRule"])

    def more(self, alarm: Values) -> Values:
        return {"alarmRule": alarm["AlarmRule"]}
