"""One module per job: gather, decide, act, return one document."""
