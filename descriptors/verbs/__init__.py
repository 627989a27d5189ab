"""The verbs of the command line, one file a verb: its arguments, what it does, what it says."""
