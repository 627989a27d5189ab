"""From a folder of photos to batches: decoding, indexing, splitting, the dataset and the Lightning DataModule."""
