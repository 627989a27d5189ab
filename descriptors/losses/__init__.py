"""Losses over one positive and K negatives: pure functions and the thin modules that hold their settings."""

from descriptors.losses.average_precision import AveragePrecisionLoss, soft_average_precision
from descriptors.losses.info_nce import InfoNCELoss, info_nce
from descriptors.losses.triplet import TripletLoss, triplet

__all__ = ["AveragePrecisionLoss", "InfoNCELoss", "TripletLoss", "info_nce", "soft_average_precision", "triplet"]
