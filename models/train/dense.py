"""The bundled dense network: 64-d descriptors, keypoints and reliability at 1/8 resolution from one pass.

    python dense.py train     --run RUN_FOLDER [--data DIR] [--minutes 90]     resumes from RUN_FOLDER/last.pt
    python dense.py calibrate --run RUN_FOLDER [--data DIR]                    the reliability head, on finished descriptors
    python dense.py export    --run RUN_FOLDER                                 writes ../skyfix-dense.onnx, ../manifest.toml
    python dense.py evaluate  [--data DIR] MODEL.onnx ...                      date pairs of the held-out cities
    python dense.py benchmark MODEL.onnx ...                                   time of one pass, models side by side
"""
import argparse
import hashlib
import math
import re
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import data
from schedule import Schedule
from supply import add_arguments, batches, inference_session, session_here

STRIDE_PX = 8
MODELS_DIR = Path(__file__).resolve().parents[1]
ONNX_PATH = MODELS_DIR / "skyfix-dense.onnx"
MANIFEST_PATH = MODELS_DIR / "manifest.toml"

SEED = 20241
PAIRS_PER_STEP = 8
VIEW_PX = 192
TEMPERATURE = 0.07
TARGET_SIGMA_CELLS = 0.5  # width of the wanted correlation peak
ANCHORS = 160  # cells a view that look for their match in each step
NEGATIVES_PER_PAIR = 80  # cells of other pairs
TAUGHT_SHARE = 0.25  # of the views, whose keypoints are distilled
PEAK_LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
EMA_DECAY = 0.998
KEYPOINT_WEIGHT, RELIABILITY_WEIGHT = 0.3, 0.3
GUIDE_RADIUS_CELLS, HIT_CELLS = 6, 1.5
CALIBRATION_STEPS, CALIBRATION_LEARNING_RATE = 600, 2e-3
FAST_BFLOAT16 = torch.cpu._is_amx_tile_supported()  # a third less time a step there, slower elsewhere


# --- network -------------------------------------------------------------------------------------------------------


def conv_block(channels_in, channels_out, kernel=3, stride=1, padding=None):
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def upsample(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class DenseNet(nn.Module):
    """image (B,3,H,W) in 0..1, H and W multiples of 32 → descriptors (B,64), keypoint logits (B,65), reliability (B,1) at 1/8."""

    NORMALISATION_BOX = 17  # cells of 8 px
    NOISE_VARIANCE = 0.02**2  # keeps flat ground from becoming amplified noise

    def __init__(self):
        super().__init__()
        self.to_4 = nn.Sequential(conv_block(1, 32, kernel=8, stride=4, padding=2), conv_block(32, 32))
        self.to_8 = nn.Sequential(conv_block(32, 64, stride=2), conv_block(64, 64), conv_block(64, 64))
        self.to_16 = nn.Sequential(conv_block(64, 96, stride=2), conv_block(96, 96), conv_block(96, 96))
        self.to_32 = nn.Sequential(conv_block(96, 128, stride=2), conv_block(128, 128), conv_block(128, 128))
        self.from_32 = nn.Conv2d(128, 96, 1)
        self.merge_16 = conv_block(96, 96)
        self.from_16 = nn.Conv2d(96, 64, 1)
        self.merge_8 = conv_block(64, 64)
        self.descriptor_head = nn.Conv2d(64, 64, 1)
        self.reliability_head = nn.Sequential(conv_block(64, 32, kernel=1), nn.Conv2d(32, 1, 1))
        self.keypoint_head = nn.Sequential(
            conv_block(1, 64, kernel=8, stride=8, padding=0), conv_block(64, 64, kernel=1), nn.Conv2d(64, 65, 1)
        )

    def normalise(self, image):
        """Grey, less its local mean, by its local spread: independent of how a map is cut into tiles."""
        grey = image.mean(1, keepdim=True)
        box = lambda x: F.avg_pool2d(x, self.NORMALISATION_BOX, 1, self.NORMALISATION_BOX // 2, count_include_pad=False)
        mean = box(F.avg_pool2d(grey, STRIDE_PX))
        variance = (box(F.avg_pool2d(grey * grey, STRIDE_PX)) - mean * mean).clamp(min=0)
        return (grey - upsample(mean, STRIDE_PX)) * upsample((variance + self.NOISE_VARIANCE).rsqrt(), STRIDE_PX)

    def fuse(self, normalised):
        """Features (B,64) at 1/8."""
        x8 = self.to_8(self.to_4(normalised))
        x16 = self.to_16(x8)
        x16 = self.merge_16(x16 + upsample(self.from_32(self.to_32(x16)), 2))
        return self.merge_8(x8 + upsample(self.from_16(x16), 2))

    def describe(self, normalised):
        x8 = self.fuse(normalised)
        return F.normalize(self.descriptor_head(x8).float(), dim=1), self.reliability_head(x8).float()

    def forward(self, image):
        normalised = self.normalise(image)
        descriptors, reliability_logits = self.describe(normalised)
        return descriptors, self.keypoint_head(normalised), torch.sigmoid(reliability_logits)


# --- losses --------------------------------------------------------------------------------------------------------


def cell_centres(cells: int, device="cpu") -> torch.Tensor:
    """(cells², 2) pixel positions x, y of the cell centres, row by row."""
    c = torch.arange(cells, device=device) * STRIDE_PX + (STRIDE_PX - 1) / 2
    y, x = torch.meshgrid(c, c, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def project(homographies, points):
    """(B,3,3), (N,2) → (B,N,2)"""
    p = F.pad(points, (0, 1), value=1.0) @ homographies.transpose(1, 2)
    return p[..., :2] / p[..., 2:]


def peak_targets(homographies, points, valid_to, cells):
    """For each point (pixels) of one view the wanted distribution over the cells of the other, and whether there is one.

    A Gaussian around the true position, which lies between cells: the logarithm of it is a paraboloid, so a parabola
    through the correlation peak gives the position to a fraction of a cell.
    """
    position = project(homographies, points)
    distance = (position[:, :, None] - cell_centres(cells, points.device)) / STRIDE_PX
    weight = torch.exp(distance.square().sum(-1) / (-2 * TARGET_SIGMA_CELLS**2)) * valid_to[:, None]
    total = weight.sum(-1)
    inside = ((position > 0) & (position < cells * STRIDE_PX - 1)).all(-1)
    return weight / total.clamp(min=1e-6)[..., None], inside & (total > 0.3)


def matching_loss(own, other, targets, found, pool, excluded):
    """Cross entropy of the matching distribution over all cells of the other view and a pool of cells of other pairs.

    own: (B,M,64), other: (B,N,64), targets: (B,M,N), pool: (P,64), excluded: (B,P). Returns the loss and the probability that falls on
    the true place, (B,M).
    """
    inside = own @ other.transpose(1, 2) / TEMPERATURE
    outside = own @ pool.T / TEMPERATURE
    outside = outside.masked_fill(excluded[:, None], -1e4)
    log_total = torch.logaddexp(inside.logsumexp(-1), outside.logsumexp(-1))
    loss = log_total - (targets * inside).sum(-1)
    place = (targets > 0.05).float()
    probability = ((inside.detach() - log_total.detach()[..., None]).exp() * place).sum(-1)
    return (loss * found).sum() / found.sum().clamp(min=1), probability


def losses(net, batch, generator):
    views_a, views_b, valid_a, valid_b, b_from_a, domains, taught, wanted_keypoints = batch
    pairs, cells, device = views_a.shape[0], views_a.shape[-1] // STRIDE_PX, views_a.device
    normalised = net.normalise(torch.cat([views_a, views_b])).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or FAST_BFLOAT16):
        descriptors, reliability_logits = net.describe(normalised)
        keypoint_logits = net.keypoint_head(normalised[taught]).float()
    descriptors = descriptors.flatten(2).transpose(1, 2)
    a, b = descriptors[:pairs], descriptors[pairs:]

    drawn = lambda count, of: torch.randperm(of, generator=generator)[:count].to(device)
    anchors = drawn(ANCHORS, a.shape[1])
    points = cell_centres(cells, device)[anchors]
    pool = drawn(NEGATIVES_PER_PAIR * pairs, pairs * a.shape[1])
    # Cells of another domain (sensor, simulation) are no negatives: telling domains apart would give all cells of one a common part,
    # and over a map of that domain the places would differ by little else than noise.
    pool_pair = pool // a.shape[1]
    excluded = (torch.arange(pairs, device=device)[:, None] == pool_pair) | (domains[:, None] != domains[pool_pair])
    targets_ab, found_a = peak_targets(b_from_a, points, valid_b, cells)
    targets_ba, found_b = peak_targets(torch.linalg.inv(b_from_a), points, valid_a, cells)
    found_a, found_b = found_a & valid_a[:, anchors], found_b & valid_b[:, anchors]
    loss_ab, probability_a = matching_loss(a[:, anchors], b, targets_ab, found_a, b.flatten(0, 1)[pool], excluded)
    loss_ba, probability_b = matching_loss(b[:, anchors], a, targets_ba, found_b, a.flatten(0, 1)[pool], excluded)

    probability, found = torch.cat([probability_a, probability_b]), torch.cat([found_a, found_b]).float()
    reliability_logits = reliability_logits.flatten(1)[:, anchors]
    reliability = F.binary_cross_entropy_with_logits(reliability_logits, probability.clamp(0, 1), weight=found)
    keypoints = F.kl_div(keypoint_logits.log_softmax(1), wanted_keypoints.log_softmax(1), log_target=True, reduction="none")
    parts = {
        "match": (loss_ab + loss_ba) / 2,
        "reliability": reliability,
        "keypoints": keypoints.sum(1).mean(),
        "probability": (probability * found).sum() / found.sum(),
    }
    return parts["match"] + RELIABILITY_WEIGHT * reliability + KEYPOINT_WEIGHT * parts["keypoints"], parts


def guided_hits(own, other, homographies, points, valid_to, cells):
    """For each point, whether the best cell of the other view near its true place (as guided matching looks for it) is the right one,
    (B,M), and whether there is one to find."""
    position = project(homographies, points)
    distance = (position[:, :, None] - cell_centres(cells, points.device)).norm(dim=-1) / STRIDE_PX
    near = (distance < GUIDE_RADIUS_CELLS) & (valid_to[:, None] > 0)
    best = (own @ other.transpose(1, 2)).masked_fill(~near, -2).argmax(-1)
    inside = ((position > 0) & (position < cells * STRIDE_PX - 1)).all(-1)
    return (torch.gather(distance, 2, best[..., None])[..., 0] < HIT_CELLS).float(), inside & near.any(-1)


def reliability_loss(net, views_a, views_b, valid_a, valid_b, b_from_a):
    """Cross entropy of the reliability head against the hits of guided matching; everything else stays as it is."""
    pairs, cells = views_a.shape[0], views_a.shape[-1] // STRIDE_PX
    with torch.no_grad():
        x8 = net.fuse(net.normalise(torch.cat([views_a, views_b])).contiguous(memory_format=torch.channels_last))
        descriptors = F.normalize(net.descriptor_head(x8), dim=1).flatten(2).transpose(1, 2)
        a, b = descriptors[:pairs], descriptors[pairs:]
        points = cell_centres(cells, views_a.device)
        hits_a, found_a = guided_hits(a, b, b_from_a, points, valid_b, cells)
        hits_b, found_b = guided_hits(b, a, torch.linalg.inv(b_from_a), points, valid_a, cells)
    hits, found = torch.cat([hits_a, hits_b]), torch.cat([found_a & valid_a, found_b & valid_b]).float()
    logits = net.reliability_head(x8).flatten(1)
    loss = F.binary_cross_entropy_with_logits(logits, hits, weight=found, reduction="sum") / found.sum().clamp(min=1)
    return loss, (hits * found).sum() / found.sum()


# --- training ------------------------------------------------------------------------------------------------------


def to_tensors(views_a, views_b, valid_a, valid_b, b_from_a, device="cpu"):
    there = lambda x: torch.as_tensor(x).to(device, non_blocking=True)
    image = lambda x: there(x).permute(0, 3, 1, 2).float() / 255
    cell = lambda x: (F.avg_pool2d(there(x).float()[:, None], STRIDE_PX) > 0.99).flatten(1)
    return image(views_a), image(views_b), cell(valid_a), cell(valid_b), there(b_from_a)


class Lessons:
    """The batch of a step with what the teacher says of some of its views; the same step gives the same lesson."""

    def __init__(self, training_set, teacher_path, pairs):
        self.set, self.teacher_path, self.pairs = training_set, teacher_path, pairs

    def __call__(self, step):
        *batch, domains = self.set.batch(SEED, step, self.pairs)
        taught = np.random.default_rng([SEED, step, 1]).permutation(2 * self.pairs)[: round(TAUGHT_SHARE * 2 * self.pairs)]
        views = np.concatenate(batch[:2])[taught].transpose(0, 3, 1, 2).astype(np.float32) / 255
        wanted = session_here(self.teacher_path).run(["keypoint_logits"], {"input": views})[0]
        return *batch, domains, taught, wanted


def update_average(average, net, step):
    """Average of the weights; a short memory at first."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    for kept, new in zip(average.state_dict().values(), net.state_dict().values()):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def train(options):
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(SEED)
    training_set = data.TrainingSet(options.data, options.worlds or options.run / "worlds", VIEW_PX, tuple(options.without))
    lessons = Lessons(training_set, options.teacher or options.data.parent / "models" / "xfeat.onnx", options.pairs)

    device = options.device
    net, average = DenseNet().to(device, memory_format=torch.channels_last), DenseNet().to(device)
    average.load_state_dict(net.state_dict())
    average.requires_grad_(False)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    parts = {"net": net, "average": average}
    schedule = Schedule(options.run / "last.pt", options.minutes, PEAK_LEARNING_RATE, optimiser, parts)
    net.train()
    supply = batches(lessons, schedule.step, options.workers)
    for step in schedule.steps():
        *batch, domains, taught, wanted = next(supply)
        extra = (torch.as_tensor(x).to(device) for x in (domains, taught, wanted))
        generator = torch.Generator().manual_seed(SEED + step)
        loss, parts_of_loss = losses(net, (*to_tensors(*batch, device), *extra), generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        update_average(average, net, step + 1)
        if step % 50 == 0:
            shown = "  ".join(f"{name} {value.item():.3f}" for name, value in parts_of_loss.items())
            print(f"step {step}  {schedule.seconds / 60:.1f} min  {shown}", flush=True)


def calibrate(options):
    """Trains the reliability head alone, on the finished descriptors: the chance that guided matching finds the cell again.

    During `train` the head learns how likely a cell is found among all cells there are, which says next to nothing of fields: they
    would hardly count beside a few houses, although guided matching finds them well."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    training_set = data.TrainingSet(options.data, options.worlds or options.run / "worlds", VIEW_PX, tuple(options.without))
    net = DenseNet().to(options.device, memory_format=torch.channels_last).eval()
    checkpoint_path = options.run / "last.pt"
    saved = torch.load(checkpoint_path, weights_only=True, map_location="cpu")
    net.load_state_dict(saved["average"])
    net.reliability_head.train()
    optimiser = torch.optim.AdamW(net.reliability_head.parameters(), lr=CALIBRATION_LEARNING_RATE)
    supply = batches(lambda step: training_set.batch(SEED + 1, step, PAIRS_PER_STEP)[:-1], 0, options.workers)
    for step in range(CALIBRATION_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = CALIBRATION_LEARNING_RATE * (1 - step / CALIBRATION_STEPS)
        loss, hits = reliability_loss(net, *to_tensors(*next(supply), options.device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            print(f"step {step + 1}  loss {loss.item():.3f}  share found again {hits.item():.3f}", flush=True)
    torch.save({"average": net.state_dict(), "step": saved["step"], "seconds": saved["seconds"]}, checkpoint_path.with_name("calibrated.pt"))


# --- export --------------------------------------------------------------------------------------------------------


def export(options):
    net = DenseNet().eval()
    saved = torch.load(options.run / "calibrated.pt", weights_only=True, map_location="cpu")
    net.load_state_dict(saved["average"])
    outputs = ["descriptors", "keypoint_logits", "reliability"]
    axes = {"image": {0: "batch", 2: "height", 3: "width"}}
    axes |= {name: {0: "batch", 2: "height_cells", 3: "width_cells"} for name in outputs}
    torch.onnx.export(
        net, torch.rand(1, 3, 256, 320), str(ONNX_PATH), opset_version=17, input_names=["image"],
        output_names=outputs, dynamic_axes=axes, dynamo=False,
    )  # fmt: skip
    session = inference_session(ONNX_PATH)
    for shape in ((1, 3, 256, 320), (2, 3, 480, 416)):
        image = torch.rand(shape)
        with torch.no_grad():
            wanted = net(image)
        worst = [np.abs(w.numpy() - g).max() for w, g in zip(wanted, session.run(outputs, {"image": image.numpy()}))]
        print(f"{shape}: largest difference from PyTorch " + ", ".join(f"{n} {d:.1e}" for n, d in zip(outputs, worst)))
        assert max(worst) < 1e-4
    print("inputs", [(i.name, i.shape) for i in session.get_inputs()])
    print("outputs", [(o.name, o.shape) for o in session.get_outputs()])
    digest = write_checksum(ONNX_PATH)
    print(f"step {saved['step']}, {saved['seconds'] / 60:.1f} min of training, {ONNX_PATH.stat().st_size} bytes, sha256 {digest}")


def write_checksum(path: Path) -> str:
    """Puts the file's checksum into its entry of the manifest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = MANIFEST_PATH.read_text()
    entry = rf'(file = "{path.name}".*\nsha256 = ")[^"]*'
    assert re.search(entry, manifest), f"{MANIFEST_PATH} has no entry for {path.name}"
    MANIFEST_PATH.write_text(re.sub(entry, rf"\g<1>{digest}", manifest))
    return digest


# --- measurements --------------------------------------------------------------------------------------------------


def held_out_views(pair, gsd_m, blur_px, rng, view_px=256):
    """An upright view of one date and a rotated (±15°), scaled (0.8–1.25), shifted view of the other."""
    height, width = pair.a.pyramid[0].shape[:2]
    middle, centre = (view_px - 1) / 2, ((width - 1) / 2, (height - 1) / 2)
    to_middle = data.similarity(0, 1, (-middle, -middle))
    scene_from_a = data.similarity(0, gsd_m / pair.a.gsd_m, centre) @ to_middle
    angle, scale = math.radians(rng.uniform(-15, 15)), math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
    shifted = data.similarity(0, 1, rng.uniform(-24, 24, 2))
    scene_from_b = data.similarity(angle, scale * gsd_m / pair.a.gsd_m, centre) @ shifted @ to_middle
    view_a, valid_a = data.cut_view(pair.a, scene_from_a, gsd_m, view_px)
    view_b, valid_b = data.cut_view(pair.b, scene_from_b, gsd_m * scale, view_px)
    if blur_px:
        view_b = cv2.GaussianBlur(view_b, (0, 0), blur_px)
    return view_a, view_b, valid_a, valid_b, (np.linalg.inv(scene_from_b) @ scene_from_a).astype(np.float32)


def match_dense(descriptors_a, descriptors_b):
    """Best cell of b for each of a, refined by a parabola in x and in y (pixels, B,N,2), and whether it is mutual."""
    pairs, _, cells, _ = descriptors_b.shape
    flat = lambda d: F.normalize(torch.from_numpy(d), dim=1).flatten(2).transpose(1, 2)
    score = flat(descriptors_a) @ flat(descriptors_b).transpose(1, 2)
    best = score.argmax(-1)
    mutual = torch.gather(score.argmax(1), 1, best) == torch.arange(score.shape[1])
    plane = score.reshape(pairs, -1, cells, cells)
    y, x = (best // cells).clamp(1, cells - 2), (best % cells).clamp(1, cells - 2)
    at = lambda dy, dx: torch.gather(plane.flatten(2), 2, ((y + dy) * cells + x + dx)[..., None])[..., 0]

    def peak(low, mid, high):
        return ((low - high) / (2 * (low - 2 * mid + high)).clamp(max=-1e-6)).clamp(-0.5, 0.5)

    offset = torch.stack([peak(at(0, -1), at(0, 0), at(0, 1)), peak(at(-1, 0), at(0, 0), at(1, 0))], -1)
    position = torch.stack([best % cells, best // cells], -1).float() * STRIDE_PX + (STRIDE_PX - 1) / 2
    on_border = torch.stack([x, y], -1) != torch.stack([best % cells, best // cells], -1)
    return position, position + torch.where(on_border, 0, offset) * STRIDE_PX, mutual


def evaluate(options):
    pairs = data.load_naip(options.data / "train", held_out=True)
    print("| pairs | GSD m/px | blur of one view px | model | within 1.5 cells | mutual within 1.5 cells | refined within 3 px | refined error of right mutual px |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, gsd_m, blur_px in (("date", 0.6, 0), ("date", 0.3, 0), ("date", 0.3, 2.5), ("nir", 0.3, 0)):
        rng = np.random.default_rng(SEED)
        chosen = pairs[kind][:: max(1, len(pairs[kind]) // options.pairs)]
        batch = [held_out_views(pair, gsd_m, blur_px, rng) for pair in chosen]
        views_a, views_b, valid_a, valid_b, b_from_a = to_tensors(*(np.stack(column) for column in zip(*batch)))
        cells = views_a.shape[-1] // STRIDE_PX
        _, found = peak_targets(b_from_a, cell_centres(cells), valid_b, cells)
        found &= valid_a
        truth = project(b_from_a, cell_centres(cells))
        for path in options.models:
            session = inference_session(path)
            name = session.get_inputs()[0].name
            descriptors = [
                np.concatenate([session.run(["descriptors"], {name: v[None].numpy()})[0] for v in views])
                for views in (views_a, views_b)
            ]
            coarse, fine, mutual = match_dense(*descriptors)
            right = (coarse - truth).norm(dim=-1) < 1.5 * STRIDE_PX
            fine_error = (fine - truth).norm(dim=-1)[found & mutual & right].median()
            precise = (fine - truth).norm(dim=-1) < 3
            shares = [share.float().mean() for share in (right[found], right[found & mutual], precise[found])]
            columns = [kind, str(gsd_m), str(blur_px), Path(path).stem, *(f"{s:.3f}" for s in shares), f"{fine_error:.2f}"]
            print("| " + " | ".join(columns) + " |")


def benchmark(options):
    """Rounds that take turns, so that a busy machine slows all models alike."""
    sessions = {Path(path).stem: inference_session(path) for path in options.models}
    image = np.random.default_rng(0).random((1, 3, options.size, options.size), dtype=np.float32)
    times = {name: [] for name in sessions}
    for _ in range(options.rounds):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: image})
            times[name].append(time.perf_counter() - started)
    for name, values in times.items():
        print(f"{name}: median {1e3 * np.median(values[2:]):.1f} ms, fastest {1e3 * min(values):.1f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(function):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        return sub

    for sub in (command(train), command(calibrate), command(export)):
        sub.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
        if sub.get_default("function") is not export:
            sub.add_argument("--data", type=Path, default=data.default_data_dir())
            sub.add_argument("--worlds", type=Path, help="worlds of worlds.py; default: worlds/ in the run's folder")
            sub.add_argument("--without", nargs="*", default=[], help="kinds of pairs to leave out")
            add_arguments(sub)
        if sub.get_default("function") is train:
            sub.add_argument("--pairs", type=int, default=PAIRS_PER_STEP, help="pairs a step")
            sub.add_argument("--teacher", type=Path, help="xfeat.onnx, whose keypoints are distilled; default: models/ beside the data")
            sub.add_argument("--minutes", type=float, default=90)
    sub = command(evaluate)
    sub.add_argument("--data", type=Path, default=data.default_data_dir())
    sub.add_argument("--pairs", type=int, default=120)
    sub.add_argument("models", nargs="+")
    sub = command(benchmark)
    sub.add_argument("--size", type=int, default=800)
    sub.add_argument("--rounds", type=int, default=15)
    sub.add_argument("models", nargs="+")
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
