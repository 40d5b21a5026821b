"""An embedded Kafka-protocol log for one machine, kept in one SQLite file (docs/broker.md)."""
