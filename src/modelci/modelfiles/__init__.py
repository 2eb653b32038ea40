"""Model files: what they hold, and loading them without running code that came with them."""
