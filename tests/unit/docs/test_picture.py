"""The picture of who calls what is made from its description, which has what the code calls."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from tools import picture

ROOT = picture.ROOT
# What is called beside the picture's boxes, and by which verbs alone: what they look at, and what CI and drills need.
_ONLY_LOOKED_AT = {
    "apigateway", "cloudformation", "cloudtrail", "cloudwatch", "events", "iam", "resourcegroupstaggingapi", "scheduler",
    "service-quotas", "sns",
}  # fmt: skip
_SHOWN = {"dynamodb": "DynamoDB", "lambda": "Lambda", "s3": "S3", "ssm": "SSM", "sts": "STS"}


def test_it_is_as_described() -> None:
    assert picture.main([]) == 0


def test_it_can_be_read_as_an_image_and_says_what_it_shows() -> None:
    image = ET.fromstring(picture.PAGE.read_text(encoding="utf-8"))  # noqa: S314 - our own file
    title = image.find("{http://www.w3.org/2000/svg}title")

    assert title is not None
    assert title.text


def test_each_service_that_a_rollback_calls_is_in_it() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rollback").rglob("*.py")))
    called = set(re.findall(r'client\("([a-z0-9-]+)"', source)) - _ONLY_LOOKED_AT

    assert called == _SHOWN.keys()
    assert all(any(name in box for box in picture.CALLED) for name in _SHOWN.values())
