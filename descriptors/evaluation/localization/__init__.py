"""Where cameras stood: localization against known views, and structure from motion, through COLMAP."""
