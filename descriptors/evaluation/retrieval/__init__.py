"""Protocols on image retrieval: a global descriptor makes a shortlist, the local descriptors re-rank it."""
