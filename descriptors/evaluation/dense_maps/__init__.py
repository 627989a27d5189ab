"""Published networks that describe a whole image, read at given keypoints the way each reads its own."""
