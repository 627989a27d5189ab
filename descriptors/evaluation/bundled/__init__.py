"""Measures on photographs that installed packages bring along and no run trains on: the end of each training run."""
