"""The guard: a function that takes the standby when an alarm goes off."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "guard": {
            "build": (
                "guard.verbs:build",
                "Build the package of the guard's function; run it before `pulumi up` of the foundation.",
            ),
            "status": (
                "guard.verbs:status",
                "Show whether the guard would act on an alarm, and why it ignored recent ones.",
            ),
            "test": (
                "guard.verbs:rehearse",
                "Run the guard as if an alarm went into ALARM now, without rolling back.",
            ),
        },
    },
    groups={
        "guard": "The guard: takes the standby when an alarm goes off.",
    },
)
