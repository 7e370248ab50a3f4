"""The deployers of other teams, each in an environment of its own, fetched when a test first needs it."""
