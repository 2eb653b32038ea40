"""Releases as KServe's InferenceServices: what they say, and the cluster or branch to say it to."""
