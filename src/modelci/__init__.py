"""Git-centric CI/CD for models."""

__version__ = "0.1.0"
