"""Plain functions and small state over plain mappings; time is an argument."""
