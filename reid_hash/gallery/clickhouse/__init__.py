"""Galleries in ClickHouse, past one machine: a server, a cluster, or the engine in this process."""
