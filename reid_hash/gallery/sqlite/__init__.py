"""The gallery in a folder: its database is the truth, its index a cache."""
