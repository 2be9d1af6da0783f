"""The whole service, killed at every durable step in turn: shared by a test and a benchmark."""
