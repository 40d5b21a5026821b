"""An embedded broker: the Kafka protocol on loopback, with its log in one SQLite file (docs/broker.md)."""
