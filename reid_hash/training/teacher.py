"""A teacher: somebody else's network, whose similarities the codes of a training follow."""
