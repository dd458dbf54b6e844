"""How the indexes search: segments, tables of a query, fast scan, hash tables."""
