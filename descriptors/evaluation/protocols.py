"""The table of protocols, and the settings that each brings along."""

import math
from collections.abc import Mapping
from typing import Any

from descriptors.checks import nearest
from descriptors.evaluation.bundled.protocols import BUNDLED
from descriptors.evaluation.homography.protocols import (
    HOMOGRAPHY_FOLDER,
    HPATCHES_D2NET,
    HPATCHES_HNDESC,
    HPATCHES_HOMOGRAPHY,
    HPATCHES_SUPERPOINT,
)
from descriptors.evaluation.localization.protocols import (
    LOCALIZATION,
    LOCALIZATION_INLOC,
    LOCALIZATION_SUBMISSION,
    SFM,
)
from descriptors.evaluation.pose.protocols import POSE
from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.retrieval.protocols import LANDMARK, REVISITED, TOKYO247

PROTOCOLS: dict[str, Protocol] = {
    "homography-folder": HOMOGRAPHY_FOLDER,
    "hpatches/d2net": HPATCHES_D2NET,
    "hpatches/hndesc": HPATCHES_HNDESC,
    "hpatches/homography": HPATCHES_HOMOGRAPHY,
    "hpatches/superpoint-480": HPATCHES_SUPERPOINT,
    "pose": POSE,
    "retrieval/landmark": LANDMARK,
    "retrieval/revisited": REVISITED,
    "retrieval/tokyo247": TOKYO247,
    "localization": LOCALIZATION,
    "localization/submission": LOCALIZATION_SUBMISSION,
    "localization/inloc": LOCALIZATION_INLOC,
    "sfm": SFM,
    "bundled": BUNDLED,
}
USUAL = {"keypoints": 2048, "max_side": 640}


def protocol_of(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol '{name}'{nearest(name, list(PROTOCOLS))}")
    return PROTOCOLS[name]


def completed(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings given (None: not given), with the protocol's own for the rest.

    Raises:
        ValueError: the protocol is unknown, fixes a setting at another value, has no such option, or an option is no
            finite number where it has to be one.
    """
    protocol = protocol_of(name)
    said = {key: value for key, value in given.items() if value is not None}
    for key, value in protocol.fixed.items():
        if said.get(key, value) != value:
            fixes = f"which fixes it at {value}" if value is not None else "which has none"
            raise ValueError(f"{key} = {said[key]} does not go with protocol '{name}', {fixes}; leave it out.")
    options = _options(name, protocol, said.get("options", {}))
    return {**USUAL, **protocol.usual, **protocol.fixed, **said, "protocol": name, "options": options}


def _options(name: str, protocol: Protocol, given: Mapping[str, Any]) -> dict[str, float | str]:
    unknown = [key for key in given if key not in protocol.options]
    if unknown:
        known = list(protocol.options)
        says = nearest(unknown[0], known) if known else "; it has none."
        raise ValueError(f"protocol '{name}' has no option '{unknown[0]}'{says}")
    return {key: _like(key, given.get(key, usual), usual) for key, usual in protocol.options.items()}


def _like(key: str, value: Any, usual: float | str) -> float | str:
    """The value as the type of what it usually is."""
    try:
        found = type(usual)(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"option {key} = {value} is not a number as {usual} is.") from error
    if not isinstance(found, str) and not math.isfinite(found):
        raise ValueError(f"option {key} = {value} is not finite; it is usually {usual}.")
    return found
