"""`python -m reid_hash`: the same as `reid-hash`, for `accelerate launch -m`."""

from reid_hash.cli import main

main()
