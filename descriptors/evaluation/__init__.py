"""Measures descriptors: one evaluator, named protocols, the same keypoints for every describer."""
