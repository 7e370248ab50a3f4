"""Rollbacks of aliases without the ledger, journalled in a file, and their way into the ledger."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "ledger": {
            "import": (
                "emergency.ledger_verbs:import_",
                "Import the journal of an emergency, once the ledger is available again.",
            ),
            "mend": (
                "emergency.ledger_verbs:mend",
                "Restore from the archive the entries that a restored or new table lacks.",
            ),
        },
    },
    groups={
        "ledger": "The ledger after an emergency, or after a restore.",
    },
    hooks={
        "journals": "emergency.journal:here",
        "emergency": "emergency.verbs:emergency",
    },
)
