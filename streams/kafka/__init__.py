"""Topics of the broker: made, written, read to their end."""
