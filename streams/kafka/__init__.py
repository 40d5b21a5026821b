"""The broker's topics: created, written, read to their end."""
