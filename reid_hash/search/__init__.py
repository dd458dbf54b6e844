"""Search by code: indexes, and the gallery, whose database is the truth and whose index a cache."""
