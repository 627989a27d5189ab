"""Relative pose of calibrated image pairs, from lists in the layout of MegaDepth-1500 and ScanNet-1500."""
