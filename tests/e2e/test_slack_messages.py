"""The team is told on Slack, and a Slack that is down stands in nobody's way."""

from __future__ import annotations

from tests.doubles.slack import slack
from tests.e2e.estate_under_test import ALICE, REASON, Platform


def test_team_notified_via_slack_whose_failure_fails_nothing(dev: Platform) -> None:
    dev.story()
    dev.configure(slackChannel="#releases")
    with slack() as team:
        # The role reads it in the account; the second time the command's surroundings say it.
        dev.root_client("ssm").put_parameter(
            Name=dev.settings.names.slack, Value=team.hook, Type="SecureString"
        )
        answer = dev.rollback("lambda", "--reason", REASON, "--json", as_=ALICE)
        team.broken = True
        untold = dev.rollback(
            "lambda", "--reason", REASON, "--json", as_=ALICE, extra={"SLACK_WEBHOOK_URL": team.hook}
        )

    assert [answer.code, untold.code] == [0, 0], f"{answer}{untold}"
    shown = [str(body) for body in team.messages.values()]
    assert len(shown) == 2
    assert REASON in shown[0]
    assert "COMPLETE" in shown[1]
    assert "The Slack message could not be sent" in untold.err
    assert "Slack" not in answer.err
