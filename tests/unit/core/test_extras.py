"""What comes with an extra is asked for by its name where it is not installed."""

from __future__ import annotations

import pytest

from rollback.util.errors import Code
from rollback.util.extras import ExtraMissing, extra
from rollback.util.version import DISTRIBUTION
from tests.coded import coded


def test_a_module_of_an_extra_that_is_not_installed_is_wrong_usage_and_names_the_extra() -> None:
    with (
        pytest.raises(ExtraMissing, check=coded(Code.EXTRA_MISSING)) as caught,
        extra("terraform"),
    ):
        raise ModuleNotFoundError("No module named 'hcl2.utils'", name="hcl2.utils")

    assert f"pip install '{DISTRIBUTION}[terraform]'" in caught.value.what
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["boto3", "pulumi_aws", None])
def test_a_module_that_no_extra_has_is_missing_for_another_reason(name: str | None) -> None:
    with pytest.raises(ModuleNotFoundError), extra("pulumi"):
        raise ModuleNotFoundError("it is not there", name=name)
