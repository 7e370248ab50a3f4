"""Drills and acceptance: rollbacks rehearsed, and facts about AWS tested."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "rollback": {
            "drill": (
                "rehearsal.verbs:drill",
                "Rehearse a rollback: break something, roll it back and measure the time; not in production.",
            ),
            "acceptance": (
                "rehearsal.acceptance.verbs:acceptance",
                "Test in a sandbox account that AWS behaves as this tool expects: exit 5 if it does not.",
            ),
        },
    },
)
