"""Reports, as one HTML page."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "rollback": {
            "report": (
                "reports.verbs:report",
                "Write an HTML report of one rollback, or of the whole environment.",
            ),
        },
    },
)
