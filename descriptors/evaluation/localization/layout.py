"""What a dataset to localize in must look like.

The layout is hloc's, in one folder; every path in it can be named by --option (relative to the folder, or absolute):

    option         usually          what
    images         images           folder of all images; the lists name paths in it
    model          model            COLMAP model (binary or text) of the known views, or a plain list of them
    queries        queries.txt      `name MODEL width height params...`, COLMAP's camera models; a pattern may name
                                    several lists, which are reported apart: day_time_*.txt as "day"
    pairs_db       pairs-db.txt     known views to match for the map, two names a line
    pairs_query    pairs-query.txt  a query and a known view to match it with, two names a line
    query_poses    query_poses.txt  true poses, `name qw qx qy qz tx ty tz`, world to camera

The lists of pairs may be missing where there are at most 60 known views: then all are matched. Without a list of true
poses those of the model count, where it holds queries; a query whose true pose is not known is left out, and said. A
query is never part of the map.

Aachen Day-Night v1.1, as hloc unpacks it, with the lists of pairs that hloc writes (covisible and retrieved images):

    --data aachen_v1.1 --option images=images_upright --option model=3D-models/aachen_v_1_1
    --option 'queries=queries/*_time_queries_with_intrinsics.txt' --option pairs_db=pairs-db-covis20.txt
    --option pairs_query=pairs-query-netvlad50.txt --option output=submissions
"""

PATHS: dict[str, float | str] = {
    "images": "images",
    "model": "model",
    "queries": "queries.txt",
    "pairs_db": "pairs-db.txt",
    "pairs_query": "pairs-query.txt",
    "query_poses": "query_poses.txt",
}
PHOTO_PAIRS = "pairs.txt"  # of structure from motion: photos to match, two names a line
