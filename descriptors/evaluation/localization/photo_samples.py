"""Measures structure from motion: which photos of a folder become part of a model, for every describer."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from descriptors.evaluation.describers import Describer
from descriptors.evaluation.localization.colmap import first_line
from descriptors.evaluation.localization.layout import PHOTO_PAIRS
from descriptors.evaluation.localization.reconstruction import Model, photos_of, reconstruct
from descriptors.evaluation.localization.submission import file_name
from descriptors.evaluation.protocol import Instruments
from descriptors.evaluation.rows import Sample


def photo_samples(instruments: Instruments) -> Iterator[Mapping[str, Sample]]:
    """Every describer's figures of every photo; those of the whole model stand in each of its photos alike.

    Raises:
        ValueError: the folder has no photos, or too many of them without a list of pairs.
    """
    models = {describer.name: _model(describer, instruments) for describer in instruments.describers}
    for name in photos_of(instruments.settings.data):
        yield {describer: _sample(name, describer, model) for describer, model in models.items()}


def _model(describer: Describer, tools: Instruments) -> Model:
    data, name, options = tools.settings.data, tools.settings.data_name, tools.settings.options
    pairs = data / Path(str(options["pairs"])).expanduser()
    if not pairs.is_file() and options["pairs"] != PHOTO_PAIRS:
        raise ValueError(f"{pairs}: there is no such file, which --option pairs={options['pairs']} names.")
    output = Path(str(options["output"])).expanduser() / file_name(name, describer.name) if options["output"] else None
    listed = pairs if pairs.is_file() else None
    try:
        return reconstruct(data, describer, tools, listed, output)
    except RuntimeError as error:
        reason = f"{describer.name}: no model ({first_line(error)})."
        return Model({}, dict.fromkeys(photos_of(data), reason), 0, 0.0, float("inf"))


def _sample(name: str, describer: str, model: Model) -> Sample:
    photo = model.photos.get(name)
    seen = photo.observations if photo else None
    values = {
        "registered": float(seen is not None),
        "observations": float(seen or 0),
        "points": float(model.points),
        "track_length": model.track_length,
        "reprojection_px": model.reprojection_px,
    }
    reason = model.left_out.get(name) or (None if seen is not None else f"{describer}: not part of the model.")
    return Sample(
        name,
        None,
        values,
        keypoints={name: photo.keypoints} if photo else {},
        seconds=[photo.seconds] if photo and photo.seconds is not None else [],
        failure=reason,
    )
