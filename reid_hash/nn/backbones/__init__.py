"""Backbones, from image to feature vector; `build` makes the one that a configuration names."""
