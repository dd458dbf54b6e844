"""Cameras as a network: who goes from which to which, how long it takes, and whom to believe."""
