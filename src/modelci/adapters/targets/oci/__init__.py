"""Releases as OCI images: skopeo moves them, umoci puts them together, no engine is needed."""
