"""The bundled models against XFeat on the held-out cities: the table of ../README.md.

    python compare.py [--data DIR] [--xfeat xfeat.onnx] [--write]     --write puts the table into ../README.md

Same views for every model, each a date pair of a city that was never trained on: one upright, the other turned by up to ±15°, scaled by
0.8 to 1.25 and shifted. Nothing was tuned on them for either side. Intervals are 95 %, by bootstrap over the pairs, of the mean
difference between both models on the same pair.
"""
import argparse
import re
from pathlib import Path

import numpy as np
import torch

import data
import dense
import retrieval
from supply import inference_session

BEGIN, END = "<!-- compare.py begins -->", "<!-- compare.py ends -->"
RESAMPLINGS = 10_000


def dense_shares(session, views):
    """For each pair the share of visible cells whose best cell of the other view is within 1.5 cells of the truth."""
    views_a, views_b, valid_a, valid_b, b_from_a = views
    cells = views_a.shape[-1] // dense.STRIDE_PX
    centres = dense.cell_centres(cells)
    _, found = dense.peak_targets(b_from_a, centres, valid_b, cells)
    found &= valid_a
    truth = dense.project(b_from_a, centres)
    name = session.get_inputs()[0].name
    both = [np.concatenate([session.run(["descriptors"], {name: v[None].numpy()})[0] for v in side]) for side in (views_a, views_b)]
    coarse, _, _ = dense.match_dense(*both)
    right = ((coarse - truth).norm(dim=-1) < 1.5 * dense.STRIDE_PX) & found
    return (right.sum(1) / found.sum(1).clamp(min=1)).numpy()


def interval(differences):
    rng = np.random.default_rng(dense.SEED)
    means = [differences[rng.integers(len(differences), size=len(differences))].mean() for _ in range(RESAMPLINGS)]
    return np.percentile(means, [2.5, 97.5])


def row(what, own, other):
    low, high = interval(own - other)
    return f"| {what} | {own.mean():.3f} | {other.mean():.3f} | {own.mean() - other.mean():+.3f} ({low:+.3f} to {high:+.3f}) | {len(own)} |"


def table(data_dir, xfeat_path):
    own, xfeat = inference_session(dense.ONNX_PATH), inference_session(xfeat_path)
    rows = ["| held-out cities | bundled | XFeat | difference (95 %) | pairs |", "|---|---|---|---|---|"]
    pairs = data.load_naip(data_dir / "train", held_out=True)
    for kind, shown in (("date", "other date"), ("nir", "near-infrared of the other date")):
        for gsd_m in (0.6, 0.3):
            rng = np.random.default_rng(dense.SEED)
            batch = [dense.held_out_views(pair, gsd_m, 0, rng) for pair in pairs[kind]]
            views = dense.to_tensors(*(np.stack(column) for column in zip(*batch)))
            what = f"dense matches within 1.5 cells, {shown}, {gsd_m} m/px"
            rows.append(row(what, dense_shares(own, views), dense_shares(xfeat, views)))
    cells, queries = retrieval.held_out_cells(data_dir)
    pools = ((own, retrieval.salad(retrieval.ONNX_PATH)), (xfeat, retrieval.gem))
    ranks = [retrieval.ranks(*(pool(retrieval.describe(session, v)) for v in (cells, queries))) for session, pool in pools]
    for k in (1, 5):
        rows.append(row(f"retrieval, recall@{k} among all {len(cells)} cells (XFeat: GeM, p = 3)", *((r < k).astype(float) for r in ranks)))
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data.default_data_dir())
    parser.add_argument("--xfeat", type=Path, default=data.default_data_dir().parent / "models" / "xfeat.onnx")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(dense.SEED)
    text = table(options.data, options.xfeat)
    print(text)
    if options.write:
        path = dense.MODELS_DIR / "README.md"
        readme = path.read_text()
        path.write_text(re.sub(f"{BEGIN}.*{END}", f"{BEGIN}\n{text}\n{END}", readme, flags=re.S))


if __name__ == "__main__":
    main()
