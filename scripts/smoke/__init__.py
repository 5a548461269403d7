"""The smoke suite: the real command, as a user types it. docs/testing.md describes it."""
