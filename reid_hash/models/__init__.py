"""Encoders, whatever runs their network; the models that come with the toolkit; export."""
