"""End to end: from the features of frame and window to the error of the position in metres, every step differentiable.

    python end_to_end.py train    --run RUN_FOLDER [--minutes 20]   starts from calibrated.pt and consensus-known.pt of the run
    python end_to_end.py evaluate --run RUN_FOLDER                  the held-out cities, before and after
    python end_to_end.py export   --run RUN_FOLDER                  the tuned network in place of the run's calibrated.pt, for dense.py export

The assignment of regions, which the paper takes for the hard end of what can be trained, is soft here: each region of the frame lies at
the mean of its distribution over the window's regions, and weighs as much as that is narrow. A weighted least-squares similarity
through them predicts each dense cell; around the prediction a softmax over the cells gives its place; a weighted least-squares homography
through these, once more weighted by its own residuals, says where the middle of the frame lies. The loss is how far from the truth that
is. `--position-weight 0` trains as long on the matching loss alone: the control.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import consensus
import data
import dense
from schedule import Schedule
from supply import add_arguments, batches

SEED = 20244
PAIRS_PER_STEP = 4
SIDES_PX = (128, 192)  # frame and window: a quarter of the regions that the consensus alone is trained on, and of the time
PEAK_LEARNING_RATE = 1e-4
MATCH_WEIGHT, COARSE_WEIGHT = 1.0, 0.5
NEAR_CELLS = 3  # a cell is looked for so far from its prediction, each way
ROBUST_CELLS = 1.5  # residuals beyond this weigh little in the second fit
COARSE_SCALE_M, FINE_SCALE_M = 5.0, 1.0  # errors beyond these count by their logarithm


# --- geometry ------------------------------------------------------------------------------------------------------


def similarity_fit(points, places, weights):
    """(B,N,2), (B,N,2), (B,N) → (B,2) complex a, b of place = a · point + b, points as complex numbers."""
    z, w = torch.view_as_complex(points.contiguous()), torch.view_as_complex(places.contiguous())
    total = weights.sum(1, keepdim=True).clamp(min=1e-9)
    z_mean, w_mean = (weights * z).sum(1, keepdim=True) / total, (weights * w).sum(1, keepdim=True) / total
    a = (weights * (z - z_mean).conj() * (w - w_mean)).sum(1, keepdim=True) / (weights * (z - z_mean).abs().square()).sum(1, keepdim=True).clamp(min=1e-9)
    return torch.cat([a, w_mean - a * z_mean], 1)


def apply_similarity(fit, points):
    z = torch.view_as_complex(points.contiguous())
    return torch.view_as_real(fit[:, :1] * z + fit[:, 1:])


def homography_fit(points, places, weights):
    """Weighted least squares of the eight linear unknowns (B,8); points are normalised to about ±1 by the caller."""
    x, y = points.unbind(-1)
    u, v = places.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)
    a = torch.cat([rows_u, rows_v], 1)
    weighted = a * torch.cat([weights, weights], 1)[..., None]
    normal = weighted.transpose(1, 2) @ a + 1e-6 * torch.eye(8, device=a.device)
    return torch.linalg.solve(normal, (weighted.transpose(1, 2) @ torch.cat([u, v], 1)[..., None])[..., 0])


def apply_homography(h, points):
    x, y = points.unbind(-1)
    part = lambda i: h[:, i, None]
    depth = 1 + part(6) * x + part(7) * y
    return torch.stack([part(0) * x + part(1) * y + part(2), part(3) * x + part(4) * y + part(5)], -1) / depth[..., None]


def robust(residuals, scale):
    return 1 / (1 + residuals.square().sum(-1) / scale**2).square()


# --- the path ------------------------------------------------------------------------------------------------------


class EndToEnd(nn.Module):
    def __init__(self, run: Path):
        super().__init__()
        self.backbone, self.consensus = dense.DenseNet().eval(), consensus.Consensus()
        self.backbone.load_state_dict(torch.load(run / "calibrated.pt", weights_only=True, map_location="cpu")["average"])
        saved = torch.load(run / "consensus-known.pt", weights_only=True, map_location="cpu")
        self.consensus.load_state_dict(saved["network"])
        self.register_buffer("mean", saved["mean"])

    def forward(self, frames, frame_valid, windows, window_valid):
        """Where the middle of each frame lies in its window by the regions and by the cells, pixels, (B,2) twice; and both descriptors."""
        describe = lambda images: self.backbone.describe(self.backbone.normalise(images))
        (a, reliability), (b, _) = describe(frames), describe(windows)
        coarse = self.by_regions(a, frame_valid, b, window_valid)
        return *self.by_cells(coarse, a, torch.sigmoid(reliability), frame_valid, b), a, b

    def by_regions(self, a, frame_valid, b, window_valid):
        """The similarity that maps the frame's pixels, relative to its middle, into the window."""
        (own, own_covered), (other, other_covered) = (
            consensus.pooled_regions(d, v, self.mean) for d, v in ((a, frame_valid), (b, window_valid))
        )
        tensor = consensus.match(self.consensus, consensus.correlation(own, own_covered, other, other_covered))
        chances = (consensus.SHARPNESS * (tensor + 1e-9).log()).flatten(3).flatten(1, 2).softmax(2)
        region_px = consensus.REGION_CELLS * dense.STRIDE_PX
        centres = region_centres(other.shape[1], region_px, a.device)
        places = chances @ centres
        spread = (chances * (centres[None, None] - places[:, :, None]).square().sum(-1)).sum(2)
        weights = own_covered.flatten(1).float() / (spread + region_px**2)
        points = region_centres(own.shape[1], region_px, a.device) - (frame_valid.shape[-1] - 1) / 2
        points = points.expand(len(a), -1, -1)
        fit = similarity_fit(points, places, weights)
        return similarity_fit(points, places, weights * robust(apply_similarity(fit, points) - places, ROBUST_CELLS * region_px))

    def by_cells(self, coarse, a, reliability, frame_valid, b):
        stride, cells = dense.STRIDE_PX, b.shape[-1]
        middle = (frame_valid.shape[-1] - 1) / 2
        points = (dense.cell_centres(a.shape[-1], a.device) - middle).expand(len(a), -1, -1)
        predicted = apply_similarity(coarse, points)
        steps = torch.arange(-NEAR_CELLS, NEAR_CELLS + 1, device=a.device) * float(stride)
        offsets = torch.stack(torch.meshgrid(steps, steps, indexing="ij")[::-1], -1).reshape(-1, 2)
        looked_at = predicted[:, :, None] + offsets
        # Pixels to −1..1 over the cells' outer borders.
        sampled = F.grid_sample(b, (looked_at + 0.5) / (cells * stride) * 2 - 1, align_corners=False)
        scores = torch.einsum("bcn,bcnk->bnk", a.flatten(2), F.normalize(sampled, dim=1)) / dense.TEMPERATURE
        inside = ((looked_at > 0) & (looked_at < cells * stride - 1)).all(-1)
        chances = scores.masked_fill(~inside, -1e4).softmax(2)
        shift = chances @ offsets
        spread = (chances * (offsets - shift[:, :, None]).square().sum(-1)).sum(2)
        covered = (F.avg_pool2d(frame_valid.float()[:, None], stride) > 0.99).flatten(1) & inside.any(-1)
        weights = covered * reliability.flatten(1) / (spread + stride**2)
        size = middle + 0.5
        normal_points, normal_places = points / size, (predicted + shift - cells * stride / 2) / size
        h = homography_fit(normal_points, normal_places, weights)
        residuals = apply_homography(h, normal_points) - normal_places
        h = homography_fit(normal_points, normal_places, weights * robust(residuals, ROBUST_CELLS * stride / size))
        centre = apply_homography(h, torch.zeros_like(points[:, :1]))[:, 0] * size + cells * stride / 2
        return torch.view_as_real(coarse[:, 1]), centre


def region_centres(count, region_px, device):
    c = torch.arange(count, device=device) * region_px + (region_px - 1) / 2
    return torch.stack(torch.meshgrid(c, c, indexing="ij")[::-1], -1).reshape(-1, 2)


def errors_m(network, batch):
    """Error of the middle's place by regions and by cells, metres (B) twice; the matching loss of the cells."""
    frames, frame_valid, windows, window_valid, window_from_frame, gsd_m = batch
    by_regions, by_cells, a, b = network(frames, frame_valid, windows, window_valid)
    middle = torch.full((1, 2), (frame_valid.shape[-1] - 1) / 2, device=frames.device)
    truth = dense.project(window_from_frame, middle)[:, 0]
    cells = b.shape[-1]
    covered = lambda v: (F.avg_pool2d(v.float()[:, None], dense.STRIDE_PX) > 0.99).flatten(1)
    points = dense.cell_centres(a.shape[-1], frames.device)
    targets, found = dense.peak_targets(window_from_frame, points, covered(window_valid), cells)
    flat = lambda d: d.flatten(2).transpose(1, 2)
    pool = flat(b)[:, :: cells // 4].flatten(0, 1)
    own_pool = torch.arange(len(b), device=b.device).repeat_interleave(len(pool) // len(b))
    excluded = torch.arange(len(b), device=b.device)[:, None] == own_pool
    match, _ = dense.matching_loss(flat(a), flat(b), targets, found & covered(frame_valid), pool, excluded)
    return *((place - truth).norm(dim=-1) * gsd_m for place in (by_regions, by_cells)), match


def to_tensors(batch, device):
    frames, frame_valid, windows, window_valid, window_from_frame, gsd_m = (torch.as_tensor(x).to(device) for x in batch)
    image = lambda x: x.permute(0, 3, 1, 2).float() / 255
    return image(frames), frame_valid, image(windows), window_valid, window_from_frame.float(), gsd_m.float()


# --- commands ------------------------------------------------------------------------------------------------------


def train(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    training_set = data.TrainingSet(options.data, options.worlds or options.run / "worlds", SIDES_PX[0], tuple(options.without))
    network = EndToEnd(options.run).to(options.device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=1e-3)
    schedule = Schedule(options.run / checkpoint(options), options.minutes, PEAK_LEARNING_RATE, optimiser, {"network": network})

    def make(step):
        return consensus.draw_batch(training_set.pairs, training_set.shares, SEED + step, size=PAIRS_PER_STEP, sides_px=SIDES_PX)

    supply = batches(make, schedule.step, options.workers)
    for step in schedule.steps():
        coarse, fine, match = errors_m(network, to_tensors(next(supply), options.device))
        position = torch.log1p(fine / FINE_SCALE_M).mean() + COARSE_WEIGHT * torch.log1p(coarse / COARSE_SCALE_M).mean()
        loss = options.position_weight * position + MATCH_WEIGHT * match
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 0:
            shown = f"regions {coarse.median().item():.2f} m  cells {fine.median().item():.2f} m  match {match.item():.3f}"
            print(f"step {step}  {schedule.seconds / 60:.1f} min  {shown}", flush=True)


def checkpoint(options):
    return "end-to-end.pt" if options.position_weight else "end-to-end-control.pt"


def evaluate(options):
    torch.set_num_threads(options.threads)
    pairs = data.load_naip(options.data / "train", held_out=True)
    networks = {"before": EndToEnd(options.run)}
    for name, file in (("matching loss only", "end-to-end-control.pt"), ("end to end", "end-to-end.pt")):
        if (options.run / file).exists():
            networks[name] = EndToEnd(options.run)
            networks[name].load_state_dict(torch.load(options.run / file, weights_only=True, map_location="cpu")["network"])
    found = {name: [[], []] for name in networks}
    for step in range(options.batches):
        batch = to_tensors(consensus.draw_batch(pairs, {"date": 0.5, "nir": 0.5}, step, True, 8), "cpu")
        for name, network in networks.items():
            with torch.no_grad():
                coarse, fine, _ = errors_m(network, batch)
            found[name][0].append(coarse.numpy())
            found[name][1].append(fine.numpy())
    print("| network | by regions: median, < 5 m | by cells: median, < 2 m, < 5 m | pairs |\n|---|---|---|---|")
    for name, columns in found.items():
        coarse, fine = (np.concatenate(c) for c in columns)
        by_regions = f"{np.median(coarse):.2f} m, {(coarse < 5).mean():.3f}"
        print(f"| {name} | {by_regions} | {np.median(fine):.2f} m, {(fine < 2).mean():.3f}, {(fine < 5).mean():.3f} | {len(fine)} |")
    first = np.concatenate(found["before"][1])
    for name, columns in list(found.items())[1:]:
        gain = np.log(first + 0.1) - np.log(np.concatenate(columns[1]) + 0.1)
        rng = np.random.default_rng(SEED)
        means = [gain[rng.integers(len(gain), size=len(gain))].mean() for _ in range(10_000)]
        low, high = np.exp(-np.percentile(means, [97.5, 2.5]))
        print(f"{name}: error by cells times {np.exp(-gain.mean()):.3f} ({low:.3f} to {high:.3f}, 95 %, paired)")


def export(options):
    saved = torch.load(options.run / "end-to-end.pt", weights_only=True, map_location="cpu")
    part = "backbone."
    tuned = {name.removeprefix(part): value for name, value in saved["network"].items() if name.startswith(part)}
    torch.save({"average": tuned, "step": saved["step"], "seconds": saved["seconds"]}, options.run / "calibrated.pt")
    print(f"{options.run / 'calibrated.pt'} holds the tuned network")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (train, evaluate, export):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        sub.add_argument("--run", type=Path, required=True, help="folder of the checkpoints")
        if function is not export:
            sub.add_argument("--data", type=Path, default=data.default_data_dir())
        if function is train:
            sub.add_argument("--worlds", type=Path, help="worlds of worlds.py; default: worlds/ in the run's folder")
            sub.add_argument("--without", nargs="*", default=[], help="kinds of pairs to leave out")
            sub.add_argument("--minutes", type=float, default=20)
            sub.add_argument("--position-weight", type=float, default=1.0, help="0: the matching loss alone, for comparison")
            add_arguments(sub)
        if function is evaluate:
            sub.add_argument("--threads", type=int, default=2)
            sub.add_argument("--batches", type=int, default=16)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
