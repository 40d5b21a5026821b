"""The generated world behind HTTP: a GitHub and a Hub that are honest in everything that a poller has to cope with."""
