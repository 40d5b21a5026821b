"""GitHub: feeds of events, and popularity."""
