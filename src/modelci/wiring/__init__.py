"""The composition root: builds adapters on demand, imports them no earlier, and nothing else."""

from modelci.wiring.app import App

__all__ = ["App"]
