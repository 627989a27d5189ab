"""Mining that does not fit into memory is tried once more in smaller parts."""

import logging

import torch

from descriptors.batch import Described, Negatives
from descriptors.mining.miner import Miner
from descriptors.out_of_memory import is_out_of_memory

log = logging.getLogger(__name__)

SMALLER = 8  # times


def mine_or_retry(miner: Miner, query: Described, pool: Described) -> tuple[Negatives, bool]:
    """What the miner finds, and whether it took a second try with a chunk of an eighth, which the miner then keeps.

    The answer does not depend on the chunk, so ranks may differ in it. A second failure is raised as it comes.
    """
    try:
        return miner.mine(query, pool), False
    except (RuntimeError, MemoryError) as error:
        if not (miner.streams and miner.chunk > 1 and is_out_of_memory(error)):
            raise
    smaller = max(1, miner.chunk // SMALLER)  # here, since the error holds on to what the first try had in memory
    log.warning("out of memory while mining: miner.chunk = %d is lowered to %d and tried again.", miner.chunk, smaller)
    miner.chunk = smaller
    torch.cuda.empty_cache()
    return miner.mine(query, pool), True
