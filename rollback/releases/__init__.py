"""Releases: recorded, listed, adopted, compared and quarantined."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "rollback": {
            "diff": (
                "releases.verbs:diff",
                "Show what changed between two releases, or since the previous one.",
            ),
        },
        "release": {
            "record": ("releases.verbs:record", "Record what is deployed as a release, after a deployment."),
            "adopt": (
                "releases.verbs:adopt",
                "Make a release of published versions whose description is exactly the release's name.",
            ),
            "list": ("releases.verbs:list_", "List the recorded releases, newest first."),
            "quarantine": (
                "releases.verbs:quarantine",
                "Quarantine a release: no rollback goes to it until the quarantine is lifted.",
            ),
            "lift": ("releases.verbs:lift", "Lift the quarantine of a release."),
        },
    },
    groups={
        "release": "Record, list, adopt and quarantine releases.",
    },
)
