"""The HTTP service: galleries for programs, below /api/v1."""
