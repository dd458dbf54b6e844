"""Protocols run from end to end: what the commands of the command line do."""
