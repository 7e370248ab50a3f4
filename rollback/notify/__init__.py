"""Messages about rollbacks: to Slack, and to an EventBridge bus."""

from rollback.rooms import Room

ROOM = Room(
    hooks={
        "notifier": "notify.slack:notifier",
        "ended": "notify.event_bus:told",
    },
)
