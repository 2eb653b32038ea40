"""Everything with side effects: Git, DVC, forges, the CI system."""
