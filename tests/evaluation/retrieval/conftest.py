import pytest

from descriptors.evaluation import protocols
from descriptors.evaluation.retrieval.protocols import LANDMARK, REVISITED, TOKYO247


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    """The protocols under their names."""
    for name, protocol in {"landmark": LANDMARK, "revisited": REVISITED, "tokyo247": TOKYO247}.items():
        monkeypatch.setitem(protocols.PROTOCOLS, f"retrieval/{name}", protocol)
