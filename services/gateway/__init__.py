"""The exchange's HTTP API: what it asks of the system (`core`), its keys, its routes, its metrics."""
