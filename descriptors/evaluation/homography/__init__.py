"""Protocols on image pairs that a known homography relates."""
