"""The retrieval head: optimal-transport aggregation of the dense network's descriptors into one global descriptor, as in SALAD.

    python retrieval.py train     --run RUN_FOLDER [--data DIR] [--minutes 20]   the backbone is ../skyfix-dense.onnx and stays as it is
    python retrieval.py export    --run RUN_FOLDER                               writes ../skyfix-salad.onnx, ../manifest.toml
    python retrieval.py evaluate  [--data DIR]                                   recall among all cells of the held-out cities

SALAD (Izquierdo & Civera, CVPR 2024): each of n descriptors is distributed over m clusters and a dustbin by three Sinkhorn iterations
in the log domain; a cluster sums the transported features; a global token is appended. Here the tokens are the 64-d descriptors of the
dense network, and the global token comes from their mean, for there is no class token.
"""
import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import data
import dense
from schedule import Schedule
from supply import add_arguments, batches, inference_session, session_here

ONNX_PATH = dense.MODELS_DIR / "skyfix-salad.onnx"
SEED = 20242
CLUSTERS, CLUSTER_DIM, TOKEN_DIM, HIDDEN = 16, 32, 128, 256
CHANNELS = 64
SINKHORN_ITERATIONS = 3
CELL_PX = 256  # side of a retrieval cell: 32 dense cells
PLACES_PER_STEP, VIEWS_PER_PLACE = 24, 2
PEAK_LEARNING_RATE = 1e-3
# Multi-similarity loss and its miner, values of SALAD.
ALPHA, BETA, BASE, MINER_MARGIN = 1.0, 50.0, 0.0, 0.1


# --- network -------------------------------------------------------------------------------------------------------


class SaladHead(nn.Module):
    """descriptors (B,64,N), unit length, in any order, N > 16 → global (B,640), unit length.

    The parts of which the aggregation is made come out, too, so that it can be checked step by step: scores (B,16,N), features
    (B,32,N), token (B,128) and the dustbin's score (B).
    """

    def __init__(self):
        super().__init__()
        mlp = lambda out: nn.Sequential(nn.Conv1d(CHANNELS, HIDDEN, 1), nn.ReLU(), nn.Conv1d(HIDDEN, out, 1))
        self.features, self.scores = mlp(CLUSTER_DIM), mlp(CLUSTERS)
        self.token = nn.Sequential(nn.Linear(CHANNELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, TOKEN_DIM))
        self.dustbin = nn.Parameter(torch.tensor(1.0))

    def forward(self, descriptors):
        scores, features, token = self.scores(descriptors), self.features(descriptors), self.token(descriptors.mean(2))
        plan = sinkhorn(scores, self.dustbin)
        clusters = F.normalize(torch.einsum("bln,bmn->bml", features, plan), dim=2).flatten(1)
        whole = F.normalize(torch.cat([F.normalize(token, dim=1), clusters], 1), dim=1)
        return whole, scores, features, token, self.dustbin + torch.zeros_like(token[:, 0])


def sinkhorn(scores, dustbin):
    """Transport plan (B,m,n) without the dustbin's row."""
    batch, m, n = scores.shape[0], scores.shape[1], torch._shape_as_tensor(scores)[2].to(scores)
    rows = torch.cat([scores, dustbin.expand(batch, 1, 1) + torch.zeros_like(scores[:, :1])], 1)
    norm = -torch.log(n + m)
    log_a = torch.cat([norm.expand(m), (norm + torch.log(n - m)).reshape(1)])[None, :, None]
    u, v = torch.zeros_like(rows[:, :, :1]), torch.zeros_like(rows[:, :1])
    for _ in range(SINKHORN_ITERATIONS):
        u = log_a - torch.logsumexp(rows + v, 2, keepdim=True)
        v = norm - torch.logsumexp(rows + u, 1, keepdim=True)
    return torch.exp(rows + u + v - norm)[:, :m]


# --- training ------------------------------------------------------------------------------------------------------


def multi_similarity_loss(descriptors, places):
    """Wang et al. 2019: pairs that the miner finds too hard or too easy for their kind weigh most."""
    similarity = descriptors @ descriptors.T
    same = places[:, None] == places
    own = torch.eye(len(places), dtype=torch.bool, device=places.device)
    positive, negative = same & ~own, ~same
    hardest_positive = similarity.masked_fill(~positive, 2).amin(1, keepdim=True)
    hardest_negative = similarity.masked_fill(~negative, -2).amax(1, keepdim=True)
    mined_positive = positive & (similarity - MINER_MARGIN < hardest_negative)
    mined_negative = negative & (similarity + MINER_MARGIN > hardest_positive)
    term = lambda mask, sign, scale: torch.log1p((torch.exp(sign * scale * (similarity - BASE)) * mask).sum(1)) / scale
    return (term(mined_positive, -1, ALPHA) + term(mined_negative, 1, BETA)).mean()


def cell_views(rng, pair, turn_rad, scale, shift_px, gsd_m, centre):
    """A view of each layer, of the cell's size; the second turned, scaled and shifted."""
    middle = (CELL_PX - 1) / 2
    to_middle = data.similarity(0, 1, (-middle, -middle))
    base = gsd_m / pair.a.gsd_m
    turn = rng.uniform(0, 2 * math.pi) if turn_rad is None else 0.0
    scene_from_a = data.similarity(turn, base, centre) @ to_middle
    moved = data.similarity(0, 1, shift_px)
    scene_from_b = data.similarity(turn + (rng.uniform(-0.3, 0.3) if turn_rad is None else turn_rad), base * scale, centre) @ moved @ to_middle
    return data.cut_view(pair.a, scene_from_a, gsd_m, CELL_PX), data.cut_view(pair.b, scene_from_b, gsd_m * scale, CELL_PX)


class Places:
    """Draws batches of places, each seen twice, described; the same step gives the same batch."""

    def __init__(self, training_set: data.TrainingSet):
        self.set = training_set

    def __call__(self, step: int):
        views, valid = self.batch(step)
        return as_stored(describe(session_here(dense.ONNX_PATH), views)), valid

    def batch(self, step: int):
        rng = np.random.default_rng([SEED, step])
        views, valid = [], []
        while len(views) < PLACES_PER_STEP * VIEWS_PER_PLACE:
            kind = rng.choice(list(self.set.shares), p=list(self.set.shares.values()))
            pair = self.set.pairs[kind][rng.integers(len(self.set.pairs[kind]))]
            low, high = pair.gsd_range_m
            height, width = pair.a.pyramid[0].shape[:2]
            gsd_m = min(math.exp(rng.uniform(math.log(low), math.log(high))), 0.8 * min(width, height) * pair.a.gsd_m / CELL_PX)
            half_px = 0.5 * CELL_PX * gsd_m / pair.a.gsd_m
            centre = [rng.uniform(min(half_px, s / 2), max(s - half_px, s / 2)) for s in (width, height)]
            shift = rng.uniform(-60, 60, 2)
            cut = cell_views(rng, pair, None, math.exp(rng.uniform(-0.25, 0.25)), shift, gsd_m, centre)
            if min(mask.mean() for _, mask in cut) < 0.6 or cut[0][0][cut[0][1]].std() < 4:
                continue
            donor = self.set.pairs[kind][rng.integers(len(self.set.pairs[kind]))].a.pyramid[0]
            for view, mask in cut:
                blur_px = rng.uniform(0.6, 2.6) if rng.random() < 0.4 else rng.uniform(0, 0.9)
                view = data.change_looks(rng, view, blur_px, donor)
                view[~mask] = 0
                views.append(view)
                valid.append(mask)
        return np.stack(views), np.stack(valid)


def describe(session, views):
    """(B,H,W,3) uint8 → (B,64,N) by the frozen backbone."""
    name = session.get_inputs()[0].name
    found = [session.run(["descriptors"], {name: v.transpose(2, 0, 1)[None].astype(np.float32) / 255})[0] for v in views]
    descriptors = torch.from_numpy(np.concatenate(found))
    return F.normalize(descriptors, dim=1).flatten(2)


def as_stored(descriptors):
    """The index keeps descriptors as signed bytes."""
    return (descriptors * 127).round().clamp(-127, 127) / 127


def aggregate_covered(head, descriptors, valid):
    """Global descriptors (B,640) of the cells that are covered; views differ in how many those are."""
    covered = torch.as_tensor(valid).to(descriptors.device).float()[:, None]
    cells = (F.avg_pool2d(covered, dense.STRIDE_PX) > 0.99).flatten(1)
    whole = cells.all(1)
    out = [None] * len(cells)
    if whole.any():
        for at, row in zip(whole.nonzero()[:, 0].tolist(), head(descriptors[whole])[0]):
            out[at] = row
    for at in (~whole).nonzero()[:, 0].tolist():
        out[at] = head(descriptors[at : at + 1, :, cells[at]])[0][0]
    return torch.stack(out)


def train(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    places = Places(data.TrainingSet(options.data, options.worlds or options.run / "worlds", CELL_PX))
    head = SaladHead().to(options.device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=1e-3)
    schedule = Schedule(options.run / "salad.pt", options.minutes, PEAK_LEARNING_RATE, optimiser, {"head": head})
    labels = torch.arange(PLACES_PER_STEP, device=options.device).repeat_interleave(VIEWS_PER_PLACE)
    supply = batches(places, schedule.step, options.workers)
    for step in schedule.steps():
        descriptors, valid = next(supply)
        found = aggregate_covered(head, torch.as_tensor(descriptors).to(options.device), valid)
        loss = multi_similarity_loss(found, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        if step % 20 == 0:
            similarity = (found @ found.T).detach().fill_diagonal_(-2)
            right = (labels[similarity.argmax(1)] == labels).float().mean()
            print(f"step {step}  {schedule.seconds / 60:.1f} min  loss {loss.item():.3f}  nearest is the same place {right:.3f}", flush=True)


# --- export --------------------------------------------------------------------------------------------------------


def export(options):
    head = SaladHead().eval()
    saved = torch.load(options.run / "salad.pt", weights_only=True, map_location="cpu")
    head.load_state_dict(saved["head"])
    outputs = ["global", "scores", "features", "token", "dustbin"]
    axes = {"descriptors": {0: "batch", 2: "cells"}} | {name: {0: "batch", 2: "cells"} for name in ("scores", "features")}
    axes |= {name: {0: "batch"} for name in ("global", "token", "dustbin")}
    example = F.normalize(torch.randn(2, CHANNELS, 300), dim=1)
    torch.onnx.export(
        head, example, str(ONNX_PATH), opset_version=17, input_names=["descriptors"], output_names=outputs, dynamic_axes=axes,
        dynamo=False,
    )  # fmt: skip
    session = inference_session(ONNX_PATH)
    for shape in ((1, CHANNELS, 1024), (3, CHANNELS, 77)):
        descriptors = F.normalize(torch.randn(shape), dim=1)
        with torch.no_grad():
            wanted = head(descriptors)
        worst = [np.abs(w.numpy() - g).max() for w, g in zip(wanted, session.run(outputs, {"descriptors": descriptors.numpy()}))]
        print(f"{shape}: largest difference from PyTorch " + ", ".join(f"{n} {d:.1e}" for n, d in zip(outputs, worst)))
        assert max(worst) < 1e-4
    digest = dense.write_checksum(ONNX_PATH)
    print(f"step {saved['step']}, {saved['seconds'] / 60:.1f} min of training, {ONNX_PATH.stat().st_size} bytes, sha256 {digest}")


# --- measurement ---------------------------------------------------------------------------------------------------


def salad(path):
    session = inference_session(path)
    return lambda descriptors: torch.from_numpy(session.run(["global"], {"descriptors": as_stored(descriptors).numpy()})[0])


def gem(descriptors, p=3.0):
    """Generalised mean of the positive parts, the usual form of GeM: (mean max(x, 0)^p)^(1/p). Better than one that keeps signs."""
    return F.normalize(descriptors.clamp(min=1e-6).pow(p).mean(2).pow(1 / p), dim=1)


def held_out_cells(data_dir, seed=SEED, gsd_m=0.45):
    """Every cell of the held-out cities as of one date, upright, and a query of another date: turned by up to ±15°, scaled by
    0.8 to 1.25, shifted by up to a quarter of a cell. Views (B,H,W,3) of cells and of queries; query i shows cell i."""
    rng = np.random.default_rng(seed)
    train_dir, first = data_dir / "train", {}
    for (name, *_), pair in zip(data.naip_date_pairs(train_dir, True), data.load_naip(train_dir, held_out=True)["date"]):
        first.setdefault(name, pair)
    cells, queries = [], []
    for pair in first.values():
        height, width = pair.a.pyramid[0].shape[:2]
        turn, scale = math.radians(rng.uniform(-15, 15)), math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
        shift = rng.uniform(-CELL_PX / 8, CELL_PX / 8, 2)
        (cell, _), (query, _) = cell_views(rng, pair, turn, scale, shift, gsd_m, ((width - 1) / 2, (height - 1) / 2))
        cells.append(cell)
        queries.append(query)
    return np.stack(cells), np.stack(queries)


def evaluate(options):
    cells, queries = held_out_cells(options.data)
    own, xfeat = inference_session(dense.ONNX_PATH), inference_session(options.xfeat)
    variants = {"skyfix-dense + skyfix-salad": (own, salad(ONNX_PATH)), "skyfix-dense + GeM": (own, gem), "XFeat + GeM": (xfeat, gem)}
    described = {}
    for name, (session, pool) in variants.items():
        if id(session) not in described:
            described[id(session)] = describe(session, cells), describe(session, queries)
        database, asked = (pool(d) for d in described[id(session)])
        rank = ranks(database, asked)
        print(f"{name:30} cells {len(cells)}  recall@1 {(rank < 1).mean():.3f}  recall@5 {(rank < 5).mean():.3f}")


def ranks(database, asked):
    """For each query how many cells are more like it than its own."""
    similarity = asked @ database.T
    return (similarity > similarity.diagonal()[:, None]).sum(1).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (train, export, evaluate):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        if function is not evaluate:
            sub.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
        if function is not export:
            sub.add_argument("--data", type=Path, default=data.default_data_dir())
        if function is train:
            sub.add_argument("--worlds", type=Path, help="worlds of worlds.py; default: worlds/ in the run's folder")
            sub.add_argument("--minutes", type=float, default=20)
            add_arguments(sub)
        if function is evaluate:
            sub.add_argument("--xfeat", type=Path, default=data.default_data_dir().parent / "models" / "xfeat.onnx")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
