"""What a person sees in a terminal, and where results are written."""
