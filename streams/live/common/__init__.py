"""What the pollers of all platforms share: clock, HTTP, coverage, the way to the broker."""
