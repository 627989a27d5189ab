"""Self-supervised local feature descriptors, trained with hard negatives from ever wider search spaces."""
