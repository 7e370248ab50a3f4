"""The files that take longest begin first: a worker that begins one of them last is alone at the end of the run."""

from __future__ import annotations

import pytest

# By their seconds in a whole run with four workers on two cores, from 165 down to 25. The others take as long as they
# are many: they follow as they come.
LONGEST_FIRST = (
    "tests/e2e/test_automatic.py",
    "tests/e2e/test_docs_as_typed.py",
    "tests/e2e/test_infrastructure.py",
    "tests/integration/targets/terraform/test_target.py",
    "tests/e2e/test_gitlab.py",
    "tests/e2e/test_recipes.py",
    "tests/e2e/test_workflows.py",
    "tests/e2e/test_hostile_input.py",
    "tests/e2e/test_local_account.py",
    "tests/integration/targets/stack/test_update.py",
    "tests/integration/localaws/test_provider_lifecycle.py",
    "tests/e2e/test_ci_of_another_repository.py",
    "tests/e2e/test_interrupted.py",
    "tests/integration/targets/stack/test_planner.py",
    "tests/e2e/test_adopt.py",
    "tests/e2e/test_acceptance.py",
    "tests/e2e/test_approving.py",
    "tests/integration/targets/stack/test_programs.py",
    "tests/e2e/test_foundation.py",
    "tests/e2e/test_pruning.py",
    "tests/e2e/test_drill.py",
    "tests/e2e/test_advice.py",
    "tests/e2e/test_infrastructure_in_prod.py",
    "tests/e2e/test_installed.py",
    "tests/e2e/test_stranger.py",
    "tests/e2e/test_stack.py",
    "tests/integration/targets/stack/test_renames.py",
    "tests/e2e/test_moves_in_trouble.py",
    "tests/e2e/test_rolling_back.py",
    "tests/e2e/test_init.py",
    "tests/simulation/test_every_schedule.py",
    "tests/e2e/test_adopt_what_differs.py",
    "tests/e2e/test_table.py",
    "tests/e2e/test_bad_input.py",
    "tests/e2e/test_crash_points.py",
    "tests/integration/localaws/test_alarms.py",
    "tests/e2e/test_the_engine_keeps_it.py",
    "tests/integration/test_recorded_ledgers.py",
    "tests/integration/actions/acceptance/test_run.py",
    "tests/permissions/test_permissions.py",
)
_PLACE = {name: place for place, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where there are workers; whoever runs a few tests sees them in the order of the files."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _PLACE.get(item.nodeid.partition("::")[0], len(_PLACE)))
