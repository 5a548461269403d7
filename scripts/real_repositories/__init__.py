"""Repositories of others, taken into a guest and out again: docs/testing.md."""
