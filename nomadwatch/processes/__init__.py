"""The processes of a station or a replay: fork server, supervisor, and what each role runs."""
