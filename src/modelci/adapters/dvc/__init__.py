"""Everything that touches DVC; no other room imports it."""
