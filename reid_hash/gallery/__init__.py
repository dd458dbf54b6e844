"""Galleries: sightings of people with their codes, searched, corrected and forgotten."""
