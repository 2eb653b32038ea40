"""Where releases run, a module each."""
