"""Versioned JSON documents that pass between jobs: one encoder, one strict decoder."""
