"""The ablation: rows of experiments trained alike, measured at the same keypoints, and told apart with intervals."""
