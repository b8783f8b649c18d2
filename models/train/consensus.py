"""The neighbourhood consensus network of coarse matching (SASCM): three symmetric 4D convolutions over the correlation tensor.

    python consensus.py train     --run RUN_FOLDER --loss known|weak [--minutes 15]   the backbone is ../skyfix-dense.onnx, unchanged
    python consensus.py export    --run RUN_FOLDER --loss known|weak                  writes ../skyfix-consensus.safetensors, ../manifest.toml
    python consensus.py evaluate  --run RUN_FOLDER [--data DIR]                       region matches of the held-out cities

The frame is 12×12 regions and the window of the map 16×16 (two dense cells a side); the network itself knows no size.

- `weak`, as in NC-Net and in arXiv 2506.09748: only that a pair shows the same ground is known. Softmax over either side, the largest
  value at each position, their mean is the pair's score; loss = score of a wrong pair − score of the right one.
- `known`: the homography is known, so cross entropy of each region's assignment among all regions of its own window and of a wrong one.
"""
import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import data
import dense
from schedule import Schedule
from supply import add_arguments, batches, inference_session, session_here

WEIGHTS_PATH = dense.MODELS_DIR / "skyfix-consensus.safetensors"
SEED = 20243
CHANNELS = (16, 16, 1)
REGION_CELLS = 2
FRAME_PX, WINDOW_PX = 192, 256
PAIRS_PER_STEP = 4
PEAK_LEARNING_RATE = 2e-4
SHARPNESS = 2.0
EPSILON = 1e-5


# --- network -------------------------------------------------------------------------------------------------------


def conv4d(x, weight, bias):
    """(B,C,I,J,K,L), (O,C,3,3,3,3) → (B,O,I,J,K,L), zero padding: a sum of 3D convolutions over the shifts along I."""
    batch, channels, rows = x.shape[:3]
    padded = F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
    out = None
    for shift in range(3):
        part = padded[:, :, shift : shift + rows].transpose(1, 2).flatten(0, 1)
        part = F.conv3d(part, weight[:, :, shift], padding=1)
        out = part if out is None else out + part
    out = out.unflatten(0, (batch, rows)).transpose(1, 2)
    return out + bias[None, :, None, None, None, None]


class Consensus(nn.Module):
    """y = N(x) + (N(xᵀ))ᵀ, N three times convolution and ReLU."""

    def __init__(self):
        super().__init__()
        sizes = zip((1, *CHANNELS[:-1]), CHANNELS)
        self.layers = nn.ModuleList(nn.ParameterDict({"weight": torch.zeros(o, i, 3, 3, 3, 3), "bias": torch.zeros(o)}) for i, o in sizes)
        # Training starts from the fixed kernel, which channels share until they part by a little noise: nothing is dead, nothing lost.
        kernel = fixed_kernel()
        for layer in self.layers:
            start = kernel / layer["weight"].shape[1]
            layer["weight"].data = start + 0.3 * start.max() * torch.randn_like(layer["weight"])

    def one_way(self, x):
        for layer in self.layers:
            x = F.relu(conv4d(x, layer["weight"], layer["bias"]))
        return x

    def forward(self, tensor):
        """(B,I,J,K,L) → the same."""
        x = tensor[:, None]
        swap = lambda t: t.permute(0, 1, 4, 5, 2, 3)
        return (self.one_way(x) + swap(self.one_way(swap(x))))[:, 0]


def fixed_kernel(sigma=0.5):
    """g(a − c) · g(b − d), as skyfix uses where there are no weights; sums to one."""
    offset = torch.arange(3) - 1.0
    gauss = torch.exp(-0.5 * ((offset[:, None] - offset[None]) / sigma) ** 2)
    kernel = gauss[:, None, :, None] * gauss[None, :, None, :]
    return kernel / kernel.sum()


class Fixed(nn.Module):
    def forward(self, tensor):
        x = tensor[:, None]
        for _ in range(3):
            x = conv4d(x, fixed_kernel()[None, None], torch.zeros(1))
        return 2 * x[:, 0]


def soft_mutual(c):
    over_frame = c / (c.amax((1, 2), keepdim=True) + EPSILON)
    over_map = c / (c.amax((3, 4), keepdim=True) + EPSILON)
    return c * (over_frame * over_map)


def match(network, tensor, before=True, after=True):
    if before:
        tensor = soft_mutual(tensor)
    if network is not None:
        tensor = network(tensor)
    return soft_mutual(tensor) if after else tensor


# --- data ----------------------------------------------------------------------------------------------------------


def draw(rng, pair, held_out, frame_px, window_px):
    """A frame and a window of the map, north-up like each other to within some degrees, the window's pixel of a frame's, and the
    window's metres a pixel."""
    low, high = pair.gsd_range_m
    height, width = pair.a.pyramid[0].shape[:2]
    most = 0.95 * min(width, height) * pair.a.gsd_m / window_px
    gsd_m = min(0.45 if held_out else math.exp(rng.uniform(math.log(low), math.log(high))), most)
    half_px = 0.5 * window_px * gsd_m / pair.a.gsd_m
    centre = [rng.uniform(min(half_px, s / 2), max(s - half_px, s / 2)) for s in (width, height)]
    turn = 0.0 if held_out else rng.uniform(0, 2 * math.pi)
    base = gsd_m / pair.a.gsd_m
    middle = lambda px: data.similarity(0, 1, (-(px - 1) / 2,) * 2)
    scene_from_window = data.similarity(turn, base, centre) @ middle(window_px)
    own_turn, scale = math.radians(np.clip(rng.normal(0, 6), -15, 15)), math.exp(np.clip(rng.normal(0, 0.08), -0.25, 0.25))
    reach = (window_px - frame_px) / 2 + 4
    shift = data.similarity(0, 1, rng.uniform(-reach, reach, 2))
    scene_from_frame = data.similarity(turn + own_turn, base * scale, centre) @ shift @ middle(frame_px)
    frame, frame_valid = data.cut_view(pair.a, scene_from_frame, gsd_m * scale, frame_px)
    window, window_valid = data.cut_view(pair.b, scene_from_window, gsd_m, window_px)
    return frame, frame_valid, window, window_valid, np.linalg.inv(scene_from_window) @ scene_from_frame, gsd_m


def draw_batch(pairs_of_kind, shares, step, held_out=False, size=PAIRS_PER_STEP, sides_px=(FRAME_PX, WINDOW_PX)):
    rng = np.random.default_rng([SEED, step])
    out = []
    while len(out) < size:
        kind = rng.choice(list(shares), p=list(shares.values()))
        pair = pairs_of_kind[kind][rng.integers(len(pairs_of_kind[kind]))]
        frame, frame_valid, window, window_valid, window_from_frame, gsd_m = draw(rng, pair, held_out, *sides_px)
        if min(frame_valid.mean(), window_valid.mean()) < 0.7 or frame[frame_valid].std() < 4:
            continue
        if not held_out:
            donor = pairs_of_kind[kind][rng.integers(len(pairs_of_kind[kind]))].a.pyramid[0]
            frame = data.change_looks(rng, frame, rng.uniform(0, 0.9), donor)
            window = data.change_looks(rng, window, rng.uniform(0, 2.4), donor)
        frame[~frame_valid] = 0
        window[~window_valid] = 0
        out.append((frame, frame_valid, window, window_valid, window_from_frame, gsd_m))
    return [np.stack(column) for column in zip(*out)]


def regions(session, views, valid, mean):
    """(B,R,R,64) features of regions, unit length, and which count (B,R,R)."""
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(["descriptors"], {name: v.transpose(2, 0, 1)[None].astype(np.float32) / 255})[0] for v in views])
    return pooled_regions(F.normalize(torch.from_numpy(found), dim=1), torch.from_numpy(valid), mean)


def pooled_regions(descriptors, valid, mean):
    features = F.normalize(descriptors - mean[None, :, None, None], dim=1)
    covered = (F.avg_pool2d(valid.float()[:, None], dense.STRIDE_PX) > 0.99).float()
    pooled = F.normalize(F.avg_pool2d(features * covered, REGION_CELLS), dim=1)
    return pooled.permute(0, 2, 3, 1), F.avg_pool2d(covered, REGION_CELLS)[:, 0] >= 0.5


def described(session, mean, batch):
    frames, frame_valid, windows, window_valid, window_from_frame, _ = batch
    frame, window = regions(session, frames, frame_valid, mean), regions(session, windows, window_valid, mean)
    return *frame, *window, torch.from_numpy(window_from_frame)


def correlation(a, covered_a, b, covered_b):
    tensor = torch.einsum("bijc,bklc->bijkl", a, b).clamp(min=0)
    return tensor * covered_a[:, :, :, None, None] * covered_b[:, None, None]


def targets(window_from_frame, covered_a, covered_b):
    """For each frame region the wanted distribution over the window's regions, and whether there is one."""
    px = REGION_CELLS * dense.STRIDE_PX
    centres = lambda n: torch.arange(n, device=covered_a.device) * px + (px - 1) / 2
    grid = lambda n: torch.stack(torch.meshgrid(*[centres(n)] * 2, indexing="ij")[::-1], -1).reshape(-1, 2)
    rows_a, rows_b = covered_a.shape[1], covered_b.shape[1]
    place = dense.project(window_from_frame.float(), grid(rows_a))
    distance = (place[:, :, None] - grid(rows_b)) / px
    weight = torch.exp(distance.square().sum(-1) / (-2 * 0.5**2)) * covered_b.flatten(1)[:, None]
    total = weight.sum(-1)
    inside = ((place > 0) & (place < rows_b * px - 1)).all(-1) & (total > 0.3) & covered_a.flatten(1)
    return weight / total.clamp(min=1e-6)[..., None], inside, place / px


# --- losses --------------------------------------------------------------------------------------------------------


def weak_score(tensor):
    flat = tensor.flatten(3).flatten(1, 2)
    return (flat.softmax(2).amax(2).mean(1) + flat.softmax(1).amax(1).mean(1)) / 2


def weak_loss(network, right, wrong, *_):
    return (weak_score(match(network, wrong)) - weak_score(match(network, right))).mean()


def known_loss(network, right, wrong, wanted, found):
    outputs = match(network, torch.cat([right, wrong]))
    inside, outside = (o.flatten(3).flatten(1, 2) for o in outputs.chunk(2))
    # Powers of the values: only their ratios count, as for whoever takes the largest.
    logits = SHARPNESS * (torch.cat([inside, outside], 2) + 1e-9).log()
    loss = logits.logsumexp(2) - (wanted * logits[:, :, : wanted.shape[2]]).sum(2)
    return (loss * found).sum() / found.sum().clamp(min=1)


# --- commands ------------------------------------------------------------------------------------------------------


def mean_descriptor(session, pairs_of_kind, shares):
    """The common part that skyfix takes away; here of many maps instead of one."""
    frames, valid, *_ = draw_batch(pairs_of_kind, shares, 10**6, size=48)
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(["descriptors"], {name: v.transpose(2, 0, 1)[None].astype(np.float32) / 255})[0] for v in frames])
    return F.normalize(torch.from_numpy(found), dim=1).mean((0, 2, 3))


def train(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    training_set = data.TrainingSet(options.data, options.worlds or options.run / "worlds", FRAME_PX)
    mean = mean_descriptor(inference_session(dense.ONNX_PATH), training_set.pairs, training_set.shares)
    network = Consensus().to(options.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=PEAK_LEARNING_RATE)
    loss_of = {"weak": weak_loss, "known": known_loss}[options.loss]
    path = options.run / f"consensus-{options.loss}.pt"
    schedule = Schedule(path, options.minutes, PEAK_LEARNING_RATE, optimiser, {"network": network}, mean=mean)

    def make(step):
        return described(session_here(dense.ONNX_PATH), mean, draw_batch(training_set.pairs, training_set.shares, step))

    supply = batches(make, schedule.step, options.workers)
    for step in schedule.steps():
        a, covered_a, b, covered_b, window_from_frame = (x.to(options.device) for x in next(supply))
        wanted, found, _ = targets(window_from_frame, covered_a, covered_b)
        right = correlation(a, covered_a, b, covered_b)
        wrong = correlation(a, covered_a, b.roll(1, 0), covered_b.roll(1, 0))
        loss = loss_of(network, right, wrong, wanted, found.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 0:
            print(f"step {step}  {schedule.seconds / 60:.1f} min  loss {loss.item():.4f}", flush=True)


def export(options):
    saved = torch.load(options.run / f"consensus-{options.loss}.pt", weights_only=True, map_location="cpu")
    tensors = {f"layer{name.removeprefix('layers.')}": value.contiguous() for name, value in saved["network"].items()}
    save_file(tensors, str(WEIGHTS_PATH))
    digest = dense.write_checksum(WEIGHTS_PATH)
    print(f"{WEIGHTS_PATH}: {options.loss}, step {saved['step']}, {saved['seconds'] / 60:.1f} min, {WEIGHTS_PATH.stat().st_size} bytes, sha256 {digest}")


def evaluate(options):
    """Right: the region with the largest value lies within one region of the truth. Apart: how often the right window's mean of
    largest values is above that of the wrong window."""
    torch.set_num_threads(options.threads)
    pairs = data.load_naip(options.data / "train", held_out=True)
    session = inference_session(dense.ONNX_PATH)
    networks = {"none": None, "fixed": Fixed()}
    mean = None
    for loss in ("weak", "known"):
        path = options.run / f"consensus-{loss}.pt"
        if path.exists():
            saved = torch.load(path, weights_only=True, map_location="cpu")
            networks[loss] = Consensus()
            networks[loss].load_state_dict(saved["network"])
            mean = saved["mean"]
    orders = {"before": (True, False), "after": (False, True), "both": (True, True), "neither": (False, False)}
    results = {(name, order): [[], []] for name in networks for order in orders}
    for step in range(options.batches):
        batch = draw_batch(pairs, {"date": 0.5, "nir": 0.5}, step, True, 8)
        a, covered_a, b, covered_b, window_from_frame = described(session, mean, batch)
        _, found, place = targets(window_from_frame, covered_a, covered_b)
        right = correlation(a, covered_a, b, covered_b)
        wrong = correlation(a, covered_a, b.roll(1, 0), covered_b.roll(1, 0))
        for (name, order), (correct, apart) in results.items():
            with torch.no_grad():
                scored, beside = (match(networks[name], t, *orders[order]).flatten(3).flatten(1, 2) for t in (right, wrong))
            columns = b.shape[2]
            best = scored.argmax(2)
            at = torch.stack([best % columns, best // columns], -1) + 0.5
            correct.append(((at - place - 0.5 / (REGION_CELLS * dense.STRIDE_PX)).norm(dim=-1) < 1)[found].float())
            apart.append((scored.amax(2).mean(1) > beside.amax(2).mean(1)).float())
    print("| consensus | soft mutual matching | regions assigned right | right window above a wrong one |\n|---|---|---|---|")
    for (name, order), (correct, apart) in results.items():
        print(f"| {name} | {order} | {torch.cat(correct).mean():.3f} | {torch.cat(apart).mean():.3f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (train, export, evaluate):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        sub.add_argument("--run", type=Path, required=True, help="folder of the checkpoints")
        if function is not evaluate:
            sub.add_argument("--loss", choices=["known", "weak"], default="known")
        if function is not export:
            sub.add_argument("--data", type=Path, default=data.default_data_dir())
        if function is evaluate:
            sub.add_argument("--threads", type=int, default=2)
        if function is train:
            add_arguments(sub)
            sub.add_argument("--worlds", type=Path, help="worlds of worlds.py; default: worlds/ in the run's folder")
            sub.add_argument("--minutes", type=float, default=15)
        if function is evaluate:
            sub.add_argument("--batches", type=int, default=20)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
