"""The generated world over HTTP: a GitHub and a Hub that have every difficulty that a poller must handle."""
