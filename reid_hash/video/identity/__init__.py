"""Who is there: tracks, their codes, and the identities of the gallery."""
