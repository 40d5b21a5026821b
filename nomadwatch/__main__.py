"""`python -m nomadwatch` is `nomadwatch`."""

from nomadwatch.cli import main

main()
