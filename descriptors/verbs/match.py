"""`python -m descriptors match`: two photos, a picture and a table of what matches in them."""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from descriptors.data.decoding import Pixels, decode
from descriptors.data.names import shown
from descriptors.evaluation.matching import mutual_nearest
from descriptors.figures.canvas import save
from descriptors.figures.matches import Lines, pair_figure
from descriptors.verbs import local_features
from descriptors.verbs.local_features import FeatureExtractor, LocalFeatures
from descriptors.verbs.two_views import INLIER_PX, MODELS, Model, inliers, inliers_by_chance

COLUMNS = ("x0", "y0", "x1", "y1", "similarity", "inlier")
_DRAWN_INLIERS, _DRAWN_OTHERS = 140, 60  # lines at most, so that the photos stay to be seen
CLEARLY_MORE = 1.5  # times the inliers by chance: unlike photos came to 1.4 at most, photos of one place to 1.3 to 2.7
NO_BETTER = (
    ": hardly better than chance, so do not trust these matches. Scale or rotation may differ too much for this "
    "describer (networks here see one scale, upright): try --describer rootsift, more --keypoints, or --ratio 0.9."
)


@dataclass(frozen=True)
class PhotoMatches:
    """K matches of two photos."""

    xy: tuple[NDArray[np.float32], NDArray[np.float32]]  # (K, 2) px of each photo itself
    similarity: NDArray[np.float32]  # (K,) cosine of the descriptors
    inlier: NDArray[np.bool_]  # (K,)
    by_chance: int  # inliers when each match takes the partner of one beside it
    found: bool  # whether there is a model

    def __len__(self) -> int:
        return len(self.similarity)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command that `run` obeys."""
    parser.add_argument("photos", type=Path, nargs=2, metavar="PHOTO")
    parser.add_argument("--describer", default="rootsift", help=f"{local_features.describers()} (rootsift)")
    local_features.add_arguments(parser)
    parser.add_argument(
        "--ratio", type=float, help="keep matches below this ratio of distances; without it all mutual ones"
    )
    parser.add_argument(
        "--model",
        default="fundamental",
        choices=list(MODELS),
        help="what inliers agree on: fundamental for a scene in 3D, homography for a plane or a turned camera",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="for matches.png and matches.csv (here)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Matches, prints counts, writes picture and table; 0.

    Raises:
        ValueError: a photo can't be read or has no keypoint, nothing matches, or a value is impossible.
    """
    paths: list[Path] = arguments.photos
    settings = local_features.settings_of(arguments, paths[0].parent, arguments.ratio)
    arguments.output.mkdir(parents=True, exist_ok=True)
    extractor, model = FeatureExtractor(settings), MODELS[arguments.model]
    photos = decode(paths[0]), decode(paths[1])
    features = _features(extractor, photos[0], paths[0]), _features(extractor, photos[1], paths[1])
    matches = match(*features, model, arguments.ratio)
    if not len(matches):
        raise ValueError(_nothing_matches(features, arguments.ratio))
    for path, one in zip(paths, features, strict=True):
        print(f"{path}: {len(one)} keypoints")
    print(f"{extractor.describer.name}: {_says(matches, model)}")
    _write(matches, photos, paths, arguments.output, (extractor, model))
    return 0


def match(first: LocalFeatures, second: LocalFeatures, model: Model, ratio: float | None = None) -> PhotoMatches:
    """Mutual nearest neighbours, and which of them agree on a model of the photos as large as they were described."""
    one, two = torch.from_numpy(first.descriptors), torch.from_numpy(second.descriptors)
    rows, columns = mutual_nearest(one, two, ratio).unbind(1)
    similarity = (one[rows] * two[columns]).sum(1).numpy()
    left, right = rows.numpy(), columns.numpy()
    start, end = first.keypoints.xy[left], second.keypoints.xy[right]
    inlier, matrix = inliers(model, start, end)
    chance = inliers_by_chance(model, start, end)
    xy = (first.photo_xy[left], second.photo_xy[right])
    return PhotoMatches(xy, similarity, inlier, chance, matrix is not None)


def write_csv(matches: PhotoMatches, path: Path) -> None:
    """One row a match, the most similar first: places in px of the photos, cosine, 1 for an inlier and 0 for others."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in np.argsort(-matches.similarity, kind="stable"):
            places = [f"{value:.3f}" for side in matches.xy for value in side[row]]
            writer.writerow([*places, f"{matches.similarity[row]:.5f}", int(matches.inlier[row])])


def _features(extractor: FeatureExtractor, photo: Pixels, path: Path) -> LocalFeatures:
    features = extractor(photo, str(path))
    if not len(features):
        raise ValueError(
            f"{path}: detector '{extractor.detector.name}' finds no keypoint in it; try another by --detector, or a "
            "photo with more texture."
        )
    return features


def _nothing_matches(features: tuple[LocalFeatures, LocalFeatures], ratio: float | None) -> str:
    counts = " and ".join(str(len(one)) for one in features)
    way_out = "show the same place in both photos" if ratio is None else f"raise --ratio above {ratio}, or leave it out"
    return f"nothing matches between the {counts} keypoints of the photos; {way_out}."


def _says(matches: PhotoMatches, model: Model) -> str:
    if not matches.found:
        why = f"at least {model.minimal} are needed" if len(matches) < model.minimal else "none fits them"
        return f"{len(matches)} matches, no {model.name}: {why}"
    count = int(matches.inlier.sum())
    share = f"{count} inliers ({count / len(matches):.0%})"
    said = f"{len(matches)} matches, {share} of a {model.name}; by chance {matches.by_chance}"
    return said + (NO_BETTER if count < CLEARLY_MORE * matches.by_chance else "")


def _write(
    matches: PhotoMatches,
    photos: tuple[Pixels, Pixels],
    paths: list[Path],
    folder: Path,
    how: tuple[FeatureExtractor, Model],
) -> None:
    extractor, model = how
    ratio = "" if extractor.settings.ratio is None else f", ratio {extractor.settings.ratio:g}"
    subtitle = (
        f"{extractor.detector.name} keypoints, mutual nearest neighbours{ratio}; green: within {INLIER_PX:g} px of the "
        f"{model.name}, red: all others"
    )
    names = " and ".join(shown(path.name) for path in paths)
    lines = _lines(matches, Path(extractor.describer.name).name, names)
    figure = pair_figure(*photos, [lines], _says(matches, model), subtitle)
    picture = save(figure, folder / "matches.png")
    write_csv(matches, folder / "matches.csv")
    print(f"written: {picture}, {folder / 'matches.csv'}")


def _lines(matches: PhotoMatches, name: str, says: str) -> Lines:
    """What is drawn: inliers and others, each evenly through their order where there are too many."""
    inlier = _evenly(np.flatnonzero(matches.inlier), _DRAWN_INLIERS)
    others = _evenly(np.flatnonzero(~matches.inlier), _DRAWN_OTHERS)
    drawn = np.concatenate([inlier, others])
    if len(drawn) < len(matches):
        says += f"; drawn: {len(inlier)} inliers and {len(others)} others"
    start, end = (points[drawn].astype(np.float64) for points in matches.xy)
    return Lines(start, end, matches.inlier[drawn], name, says)


def _evenly(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]
