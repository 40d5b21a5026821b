"""The terminal: what is shown in it, and where results are written."""
