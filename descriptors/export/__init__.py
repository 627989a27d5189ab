"""Networks and features for other tools: ONNX, hloc, COLMAP and kornia; and weights that are shipped."""
