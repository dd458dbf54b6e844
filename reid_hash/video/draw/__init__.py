"""Frames with the people in them marked, the side panel, and where pictures go."""
