"""The service: HTTP, SQL, files, states."""

__version__ = "0.1.0"
