"""Hard-negative miners: each a Lightning Callback with a pure `mine(query, pool) -> Negatives`."""

from descriptors.mining.all_negatives import AllNegativesMiner
from descriptors.mining.in_batch import InBatchMiner
from descriptors.mining.in_pair import InPairMiner
from descriptors.mining.miner import Miner
from descriptors.mining.random import RandomMiner
from descriptors.mining.retrieval import RetrievalMiner

__all__ = ["AllNegativesMiner", "InBatchMiner", "InPairMiner", "Miner", "RandomMiner", "RetrievalMiner"]
