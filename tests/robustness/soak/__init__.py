"""Trains, kills, resumes and evaluates on hostile photos for as long as asked for: `make soak MINUTES=60`."""
