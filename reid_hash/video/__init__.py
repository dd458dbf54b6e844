"""People in videos: source → detector → tracker → crops → codes → gallery → drawn frames."""
