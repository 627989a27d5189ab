"""Whether Weights & Biases would be reached, found out without asking it: that may prompt or use the network."""

import netrc
import os
from importlib.util import find_spec
from typing import Literal, cast, get_args

Mode = Literal["online", "offline", "disabled", "shared"]

MODES = ("online", "offline")  # to choose from
FINISH_TIMEOUT_S = 600.0  # a run's end waits so long; what is not sent by then stays on the disk, for `wandb sync`


def mode_of(asked: str | None = None) -> Mode:
    """The mode asked for; else what `WANDB_MODE` says; else online for those who are logged in, offline for others.

    Raises:
        ValueError: the package is not installed, online was asked for without an API key, or `WANDB_MODE` is no mode.
    """
    if find_spec("wandb") is None:
        raise ValueError(
            "Weights & Biases needs the package wandb, which is not installed; `pip install wandb`, or do without it "
            "(logger=none)."
        )
    if asked == "online" and not is_logged_in():
        raise ValueError("Weights & Biases cannot be online without an API key; run `wandb login`, or use offline.")
    mode = asked or os.environ.get("WANDB_MODE") or ("online" if is_logged_in() else "offline")
    if mode not in get_args(Mode):
        raise ValueError(f"WANDB_MODE = '{mode}' is not a mode; set it to one of {', '.join(get_args(Mode))}.")
    return cast(Mode, mode)


def is_logged_in() -> bool:
    """Whether there is an API key where `wandb login` leaves it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        entries = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return any("wandb" in host for host in entries)
