"""The methods that the paper compares: their networks, hash functions and figures."""
