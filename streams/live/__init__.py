"""Live feeds: what GitHub and the Hub show now becomes activities."""
