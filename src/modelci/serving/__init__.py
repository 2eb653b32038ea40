"""The inference server: runs a release, and nothing of Git, DVC or a forge."""
