"""The package's schema, which programs in YAML are checked by: the types that this provider knows, and no other.

https://www.pulumi.com/docs/iac/extending-pulumi/schema/. What an object has inside is checked when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from localaws.provider import config
from localaws.provider.schema import Field, Fields
from localaws.provider.types import TYPES

_ANY: Final = {"$ref": "pulumi.json#/Any"}
_STRING: Final = {"type": "string"}
_KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "string": _STRING,
    "bool": {"type": "boolean"},
    "number": {"type": "number"},
    "map": {"type": "object", "additionalProperties": _STRING},
    "numbers": {"type": "object", "additionalProperties": {"type": "number"}},
    "object": _ANY,
}


def document(version: str) -> dict[str, Any]:
    """The schema as JSON: `{"name", "version", "provider", "resources": {token: {"inputProperties", …}}}`."""
    return {
        "name": "aws",
        "version": version,
        "provider": {"inputProperties": _properties(config.FIELDS)},
        "resources": {
            token: {
                "inputProperties": _properties(resource.fields),
                "requiredInputs": [name for name, spec in resource.fields.items() if spec.required],
                "properties": {
                    **dict.fromkeys(resource.outputs, _STRING),
                    **_properties(resource.fields),
                },
            }
            for token, resource in TYPES.items()
        },
    }


def _properties(fields: Fields) -> dict[str, Any]:
    # A provider's own version is an option of every resource, and no property.
    return {
        name: {**_type(spec), "secret": spec.secret} for name, spec in fields.items() if name not in _OPTIONS
    }


_OPTIONS: Final = ("version", "pluginDownloadURL")


def _type(spec: Field) -> Mapping[str, Any]:
    if spec.kind in ("list", "set"):
        return {"type": "array", "items": _ANY if spec.fields else _STRING}
    return _KINDS[spec.kind]
