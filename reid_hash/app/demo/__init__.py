"""People recognised in videos: `reid-hash demo`."""
