"""Photos become training pairs on the device: two warped, recoloured crops of one photo and the keypoints both show."""
