"""``modelci.yaml``: one loader, one frozen value."""
