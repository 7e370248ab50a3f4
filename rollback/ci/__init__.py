"""The steps of CI jobs, on GitHub and GitLab."""

from rollback.rooms import Room

ROOM = Room(
    verbs={
        "ci": {
            "role": (
                "ci.verbs:role",
                "Select a job's role: as outputs for GitHub's next step, or as variables for a GitLab shell.",
            ),
            "plan": (
                "ci.verbs:plan",
                "Plan a rollback and record it; a second attempt of the run uses the same record.",
            ),
            "reviewer": ("ci.verbs:reviewer", "Output who reviewed this run, from GitHub or GitLab."),
            "apply": (
                "ci.verbs:apply",
                "Apply the run's plan; or resume it, if an earlier attempt was interrupted or failed.",
            ),
            "end": (
                "ci.verbs:end_",
                "Cancel a plan that was rejected or timed out, and write the result to the job's summary.",
            ),
        },
    },
    groups={
        "ci": "The steps of CI jobs; the workflows call them.",
    },
)
