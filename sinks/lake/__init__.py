"""The lake: rows of facts as Parquet, a folder a day, for SQL and for every tool that reads Parquet."""
