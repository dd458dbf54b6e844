"""Detectors of people; `detector.open_detector` opens the one that a name or a file means."""
