"""SSM's parameters in memory: plain strings, one account, under boto3's names.

Source: the API reference of PutParameter and GetParameter,
https://docs.aws.amazon.com/systems-manager/latest/APIReference/.
"""

# ruff: noqa: N803 - boto3's names

from __future__ import annotations

from tests.simulation.aws.answers import Answer, Unmodelled, answered, refused

# A standard parameter's value holds 4 KB (PutParameter, Value).
_MOST = 4096


class Ssm:
    """Parameters by name; every value that one had is kept, oldest first."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    # -- what a test sees ------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, str]:
        """Name → value."""
        return {name: values[-1] for name, values in sorted(self._values.items())}

    def history(self, name: str) -> list[str]:
        """Every value that a parameter was given, oldest first."""
        return list(self._values.get(name, ()))

    # -- boto3's names -----------------------------------------------------------------------------------

    def put_parameter(self, *, Name: str, Value: str, Type: str, Overwrite: bool = False) -> Answer:
        if Type != "String":
            raise Unmodelled(f"a parameter of type {Type}")
        if Name in self._values and not Overwrite:
            raise refused(
                "PutParameter",
                "ParameterAlreadyExists",
                "The parameter already exists. To overwrite this value, set the overwrite option in the "
                "request to true.",
            )
        if not Value or len(Value.encode()) > _MOST:
            raise refused("PutParameter", "ValidationException", f"A value holds 1 to {_MOST} bytes.")
        self._values.setdefault(Name, []).append(Value)
        return answered(Version=len(self._values[Name]), Tier="Standard")

    def get_parameter(self, *, Name: str) -> Answer:
        if Name not in self._values:
            raise refused("GetParameter", "ParameterNotFound", "")
        values = self._values[Name]
        return answered(
            Parameter={"Name": Name, "Type": "String", "Value": values[-1], "Version": len(values)}
        )
