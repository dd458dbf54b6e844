"""Detectors of people; `choose.open_detector` finds the one that a name or a file means."""
