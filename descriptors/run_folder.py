"""What a run folder holds, by name; figures/ and the panels beside it are the figures' own."""

CONFIG = "config.yaml"  # the experiment, all defaults in it
METRICS = "metrics.csv"  # what was logged, by step
SUMMARY = "summary.json"  # of what it was made, where it began, where it ended
WEIGHTS = "weights.safetensors"  # of the best validation
REPORT = "report.html"
CHECKPOINTS = "checkpoints"  # a folder
