"""Where cameras stood: localization against known views, and structure from motion, through COLMAP.

Places in images are px with (0, 0) = centre of the first pixel; what COLMAP gets is moved to its frame, half a pixel
off. OpenCV's SIFT (detector `sift`) places keypoints about 0.25 px too far right and down, px of the image it looks at;
nothing corrects that.
"""
