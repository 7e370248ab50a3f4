"""`rollback can`: whether a change could be rolled back."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "rollback": {
            "can": (
                "readiness.verbs:can",
                "Check whether a release could be rolled back: exit 0, or 3 with each reason.",
            ),
        },
    },
)
