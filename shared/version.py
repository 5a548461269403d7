"""The one place that knows the version. pyproject.toml reads it from here at build time; the CLI
and the services compare it, because services of an older build may outlive an upgrade."""

__version__ = "0.1.0"
