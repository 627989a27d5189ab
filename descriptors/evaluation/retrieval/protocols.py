"""The retrieval protocols."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from descriptors.evaluation.protocol import Protocol
from descriptors.evaluation.retrieval.collection import Collection
from descriptors.evaluation.retrieval.landmark import find_landmarks
from descriptors.evaluation.retrieval.measures import Judge, landmark_figures, place_figures, revisited_figures
from descriptors.evaluation.retrieval.pictures import reranking_pictures
from descriptors.evaluation.retrieval.revisited import find_revisited
from descriptors.evaluation.retrieval.search import OPTIONS, figures_of, retrieval_samples
from descriptors.evaluation.retrieval.tokyo247 import find_tokyo
from descriptors.evaluation.rows import Measure
from descriptors.evaluation.settings import Settings

Find = Callable[[Settings], Collection]


def _notes(find: Find, settings: Settings) -> list[str]:
    return list(find(settings).notes)


def _protocol(find: Find, judge: Judge, options: Mapping[str, float | str], **rest: Any) -> Protocol:
    return Protocol(
        unit="queries",
        measures=[Measure(name, name) for name in figures_of(judge)],
        samples=partial(retrieval_samples, find, judge),
        options={**OPTIONS, **options},
        notes=partial(_notes, find),
        pictures=reranking_pictures,
        **rest,
    )


LANDMARK = _protocol(
    find_landmarks,
    landmark_figures,
    {"gallery": "all"},
    says="mAP, mP@k and recall@N of photos of landmarks, a global shortlist re-ranked by local features",
    layout="gt.csv (file,landmark,is_query) and images/",
    shown=["map", "global_map", "mp@1", "mp@5", "mp@10", "recall@1", "recall@5", "recall@10"],
    usual={"keypoints": 1024, "max_side": 480},
)

REVISITED = _protocol(
    find_revisited,
    revisited_figures,
    {"shortlist": 100},
    says="mAP and mP@k of revisited Oxford and Paris (easy, medium, hard; their mean is 'all'), re-ranked",
    layout="gnd_roxford5k.pkl or gnd_rparis6k.pkl, and jpg/",
    shown=["map", "global_map", "mp@1", "mp@5", "mp@10"],
    usual={"keypoints": 2048, "max_side": 1024},
    macro=True,
)

TOKYO247 = _protocol(
    find_tokyo,
    place_figures,
    {"shortlist": 100, "cuts": 12},
    says="recall@N within 25 m on Tokyo 24/7 (day, sunset, night), re-ranked",
    layout="tokyo247.mat, images/ and query/",
    shown=["recall@1", "global_recall@1", "recall@5", "recall@10"],
    usual={"keypoints": 1024, "max_side": 640},
)
