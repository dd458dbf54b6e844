"""The search engine behind the indexes: segments, query tables, fast scan, hash tables."""
