"""`make bench`: how fast and how small this is beside straightforward code and beside what cannot be undercut."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer release
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training: spinning threads stall where cores are shared
