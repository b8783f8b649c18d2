"""Training pairs: two views of the same ground with the exact homography between them.

A scene is one or more registered images (dates, bands) of the same place. A pair takes two of them, cuts a view out of
each with its own rotation, scale, perspective and shift, and changes the looks of each on its own.

Pixel coordinates have their origin at the centre of the first pixel, x to the right, y down. Matrices are named
`<out>_from_<in>`. Images are RGB uint8.
"""
import csv
import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

import worlds

cv2.setNumThreads(1)  # the images are small: threads cost more than they give

HELD_OUT_CITIES = ("riverside", "claremont")
MAX_SHIFT_PX = 4.0  # larger shifts in pairs.csv are failed estimates
MIN_NCC = 0.25
NAIP_GSD_M = 0.6
NEON_GSD_M = 0.1


def default_data_dir() -> Path:
    repository = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("SKYFIX_DATA", repository.parent / "shared" / "data"))


@dataclass
class Layer:
    """One image of a scene, as a pyramid of halved images."""

    pyramid: list
    gsd_m: float
    offset_px: np.ndarray = field(default_factory=lambda: np.zeros(2))  # this layer's pixel = scene pixel + offset

    def level_for(self, gsd_m: float) -> int:
        """The coarsest level that still holds the detail of a view at `gsd_m`."""
        return int(np.clip(math.floor(math.log2(gsd_m / self.gsd_m) + 0.5), 0, len(self.pyramid) - 1))


@dataclass
class Pair:
    """Two layers of one scene that show the same ground."""

    a: Layer
    b: Layer
    gsd_range_m: tuple


def build_pyramid(image: np.ndarray) -> list:
    pyramid = [image]
    while min(pyramid[-1].shape[:2]) >= 128:
        height, width = pyramid[-1].shape[:2]
        pyramid.append(cv2.resize(pyramid[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return pyramid


def read_layer(path: Path, gsd_m: float, offset_px=(0.0, 0.0)) -> Layer:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(path)
    return Layer(build_pyramid(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), gsd_m, np.array(offset_px, float))


def naip_date_pairs(train_dir: Path, cities_held_out: bool) -> list:
    """(scene name, year a, year b, shift in pixels of b against a) of the trustworthy date pairs."""
    rows = []
    with open(train_dir / "naip_multiyear" / "pairs.csv") as file:
        for row in csv.DictReader(file):
            shift = np.array([float(row["dx_px"]), float(row["dy_px"])])
            trusted = np.hypot(*shift) <= MAX_SHIFT_PX and float(row["ncc_aligned"]) >= MIN_NCC
            if trusted and (row["city"] in HELD_OUT_CITIES) == cities_held_out:
                rows.append((f"{row['city']}_{int(row['id']):03d}", row["year_a"], row["year_b"], shift))
    return rows


def load_naip(train_dir: Path, held_out: bool) -> dict:
    """Pairs by kind: `date` (two dates), `nir` (a date against the near-infrared of the other), `single` (one image)."""
    images = train_dir / "naip_multiyear"
    rgb = lambda name, year: images / f"{name}_{year}.jpg"
    nir = lambda name, year: train_dir / "naip_multiyear_nir" / f"{name}_{year}_nir.jpg"
    gsd_range_m = (0.2, 0.8)
    pairs, cache = defaultdict(list), {}

    def layer(path: Path, offset_px=(0.0, 0.0)) -> Layer:
        if path not in cache:
            cache[path] = read_layer(path, NAIP_GSD_M)
        return Layer(cache[path].pyramid, NAIP_GSD_M, np.array(offset_px, float))

    for name, year_a, year_b, shift in naip_date_pairs(train_dir, held_out):
        pairs["date"].append(Pair(layer(rgb(name, year_a)), layer(rgb(name, year_b), shift), gsd_range_m))
        if nir(name, year_b).exists():
            pairs["nir"].append(Pair(layer(rgb(name, year_a)), layer(nir(name, year_b), shift), gsd_range_m))
    for path in sorted(images.glob("*.jpg")):
        if path.name.startswith(HELD_OUT_CITIES) == held_out:
            pairs["single"].append(Pair(layer(path), layer(path), gsd_range_m))
    return dict(pairs)


def load_drone(train_dir: Path) -> list:
    with open(train_dir / "oam_drone" / "index.csv") as file:
        layers = [read_layer(train_dir / "oam_drone" / row["file"], float(row["gsd_m"])) for row in csv.DictReader(file)]
    area = [layer.pyramid[0].size for layer in layers]
    repeats = [max(1, round(len(layers) * size / sum(area) * 4)) for size in area]  # large mosaics more often
    return [Pair(layer, layer, (0.13, 0.8)) for layer, n in zip(layers, repeats) for _ in range(n)]


def load_forest(train_dir: Path) -> list:
    layers = [read_layer(path, NEON_GSD_M) for path in sorted((train_dir / "neon_single").glob("*.jpg"))]
    return [Pair(layer, layer, (0.1, 0.3)) for layer in layers]


def load_worlds(folder: Path) -> list:
    layer = lambda image: Layer(build_pyramid(image), worlds.GSD_M)
    pairs = [Pair(layer(photo), layer(mapped), (0.2, 0.6)) for photo, mapped in worlds.load(folder)]
    if not pairs:
        raise FileNotFoundError(f"{folder} holds no worlds; make them with worlds.py")
    return pairs


class TrainingSet:
    """Draws batches; the same seed and step give the same batch."""

    DOMAINS = {"date": 0, "nir": 0, "single": 0, "drone": 1, "forest": 2, "world": 3}  # by what took the pictures
    SHARES = {"date": 0.42, "nir": 0.10, "drone": 0.27, "forest": 0.06, "single": 0.07, "world": 0.08}

    def __init__(self, data_dir: Path, worlds_dir: Path, view_px: int, without: tuple = ()):
        """`without` names kinds that are left out; the others keep their proportions."""
        train_dir = data_dir / "train"
        shares = {kind: share for kind, share in self.SHARES.items() if kind not in without}
        self.shares = {kind: share / sum(shares.values()) for kind, share in shares.items()}
        self.pairs = load_naip(train_dir, held_out=False)
        self.pairs["drone"] = load_drone(train_dir)
        self.pairs["forest"] = load_forest(train_dir)
        if "world" in self.shares:
            self.pairs["world"] = load_worlds(worlds_dir)
        self.view_px = view_px

    def batch(self, seed: int, step: int, size: int):
        """Views a and b as uint8 (size, n, n, 3), their valid masks (size, n, n), b_from_a as float (size, 3, 3), domains (size)."""
        rng = np.random.default_rng([seed, step])
        samples = [self.sample(rng) for _ in range(size)]
        views_a, views_b, valid_a, valid_b, b_from_a, domains = (np.stack(column) for column in zip(*samples))
        return views_a, views_b, valid_a, valid_b, b_from_a.astype(np.float32), domains

    def sample(self, rng):
        kind = rng.choice(list(self.shares), p=list(self.shares.values()))
        pair = self.pairs[kind][rng.integers(len(self.pairs[kind]))]
        for _ in range(4):  # mosaics have empty parts
            view_a, view_b, valid_a, valid_b, b_from_a = draw_views(rng, pair, self.view_px)
            if valid_a.mean() > 0.5 and view_a[valid_a].std() > 4:
                break
        donor = self.pairs[kind][rng.integers(len(self.pairs[kind]))].a.pyramid[0]
        if rng.random() < 0.5:
            pair_blur = (rng.uniform(0.6, 2.6), 0.0)  # one view far less sharp than the other
        else:
            pair_blur = (rng.uniform(0.0, 0.9), rng.uniform(0.0, 0.9))
        blur_a, blur_b = pair_blur if rng.random() < 0.5 else pair_blur[::-1]
        view_a = change_looks(rng, view_a, blur_a, donor)
        view_b = change_looks(rng, view_b, blur_b, donor)
        view_a[~valid_a] = 0
        view_b[~valid_b] = 0
        return view_a, view_b, valid_a, valid_b, b_from_a, self.DOMAINS[kind]


def similarity(angle_rad: float, scale: float, shift) -> np.ndarray:
    c, s = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1.0]])


def draw_views(rng, pair: Pair, view_px: int):
    """Two views of the pair's ground: any common rotation; between them 7.5° and 10 % (one sigma), or up to 25° and 28 %; tilt, shift."""
    low, high = pair.gsd_range_m
    gsd_m = math.exp(rng.uniform(math.log(low), math.log(high)))
    height, width = pair.a.pyramid[0].shape[:2]
    half_view_px = 0.35 * view_px * gsd_m / pair.a.gsd_m  # a corner may leave the image
    centre = [rng.uniform(min(half_view_px, size / 2), max(size - half_view_px, size / 2)) for size in (width, height)]
    common = rng.uniform(0, 2 * math.pi)

    def scene_from_view(angle_rad, scale, shift_px):
        middle = (view_px - 1) / 2
        tilt = np.eye(3)
        tilt[2, :2] = rng.normal(0, 0.06, 2) / view_px  # mild perspective, about 3° of tilt
        to_middle = np.array([[1, 0, -middle - shift_px[0]], [0, 1, -middle - shift_px[1]], [0, 0, 1.0]])
        return similarity(angle_rad, scale * gsd_m / pair.a.gsd_m, centre) @ tilt @ to_middle

    if rng.random() < 0.5:
        turn_deg, log_scale = np.clip(rng.normal(0, 7.5), -25, 25), np.clip(rng.normal(0, 0.10), -0.3, 0.3)
    else:
        turn_deg, log_scale = rng.uniform(-25, 25), rng.uniform(-0.25, 0.25)
    scale_b, angle_b = math.exp(log_scale), common + math.radians(turn_deg)
    scene_from_a = scene_from_view(common, 1.0, (0, 0))
    scene_from_b = scene_from_view(angle_b, scale_b, rng.uniform(-24, 24, 2))
    view_a, valid_a = cut_view(pair.a, scene_from_a, gsd_m, view_px)
    view_b, valid_b = cut_view(pair.b, scene_from_b, gsd_m * scale_b, view_px)
    return view_a, view_b, valid_a, valid_b, np.linalg.inv(scene_from_b) @ scene_from_a


def cut_view(layer: Layer, scene_from_view: np.ndarray, gsd_m: float, view_px: int):
    """The view and where it lies inside the layer's image."""
    level = layer.level_for(gsd_m)
    factor = 0.5**level
    move = np.array([[1, 0, layer.offset_px[0]], [0, 1, layer.offset_px[1]], [0, 0, 1]])
    shrink = np.array([[factor, 0, 0.5 * factor - 0.5], [0, factor, 0.5 * factor - 0.5], [0, 0, 1]])
    image_from_view = shrink @ move @ scene_from_view
    image, size = layer.pyramid[level], (view_px, view_px)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpPerspective(image, image_from_view, size, flags=flags)
    right, bottom = image.shape[1] - 1, image.shape[0] - 1
    corners = np.array([[[0, 0], [right, 0], [right, bottom], [0, bottom]]], float)
    inside = np.zeros((view_px, view_px), np.uint8)
    outline = cv2.perspectiveTransform(corners, np.linalg.inv(image_from_view))
    cv2.fillConvexPoly(inside, np.clip(np.round(outline), -9999, 9999).astype(np.int32), 1)
    return view, (inside > 0) & view.any(-1)


def change_looks(rng, view: np.ndarray, blur_px: float, donor: np.ndarray) -> np.ndarray:
    """Another date, sensor, season, sun and compression, for one view on its own."""
    chance = lambda p: rng.random() < p
    view = view.copy()
    if chance(0.35):
        paste_patches(rng, view, donor)
    if blur_px > 0.3:
        view = reduce_detail(view, blur_px) if chance(0.5) else cv2.GaussianBlur(view, (0, 0), blur_px)
    x = view.astype(np.float32) / 255
    if chance(0.45):
        x *= shadow_mask(rng, view.shape[0])[..., None]
    x = mix_channels(rng, x)
    if chance(0.8):
        x = cv2.pow(np.clip(x, 0, 1), math.exp(rng.normal(0, 0.35)))
    contrast, brightness = math.exp(rng.normal(0, 0.25)), rng.normal(0, 0.08)
    x = (x - 0.45) * contrast + 0.45 + brightness
    if chance(0.25):
        haze = rng.uniform(0.1, 0.6)
        x = x * (1 - haze) + haze * rng.uniform(0.5, 0.95)
    if chance(0.5):
        x += rng.standard_normal(x.shape, dtype=np.float32) * rng.uniform(0.004, 0.04)
    view = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if chance(0.15):
        view = np.stack([cv2.equalizeHist(np.ascontiguousarray(view[..., c])) for c in range(3)], -1)
    if chance(0.15):
        view = cv2.addWeighted(view, 1.8, cv2.GaussianBlur(view, (0, 0), 1.2), -0.8, 0)
    if chance(0.4):
        _, coded = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        view = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return view


def reduce_detail(view: np.ndarray, blur_px: float) -> np.ndarray:
    """A coarse map shown at a finer sampling: down and up again."""
    n = view.shape[0]
    small = max(16, round(n / (1 + blur_px)))
    coarse = cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (n, n), interpolation=cv2.INTER_CUBIC)


def paste_patches(rng, view: np.ndarray, donor: np.ndarray) -> None:
    """Things that were built, parked or removed between the dates."""
    n = view.shape[0]
    for _ in range(rng.integers(1, 5)):
        height, width = rng.integers(6, n // 4, 2)
        y, x = rng.integers(0, n - height), rng.integers(0, n - width)
        if rng.random() < 0.5:
            view[y : y + height, x : x + width] = rng.integers(0, 256, 3)
        else:
            dy, dx = rng.integers(0, donor.shape[0] - height), rng.integers(0, donor.shape[1] - width)
            view[y : y + height, x : x + width] = donor[dy : dy + height, dx : dx + width]


def shadow_mask(rng, n: int) -> np.ndarray:
    mask = np.ones((n, n), np.float32)
    for _ in range(rng.integers(1, 6)):
        centre, radius = rng.uniform(0, n, 2), rng.uniform(8, n / 3)
        angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 8)))
        corners = centre + radius * rng.uniform(0.4, 1, (len(angles), 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(mask, [corners.astype(np.int32)], float(rng.uniform(0.3, 0.85)))
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 8))


def mix_channels(rng, x: np.ndarray) -> np.ndarray:
    """Other spectral responses: the grey value the network sees is another mixture of the channels."""
    if rng.random() < 0.5:
        weights = rng.dirichlet(np.ones(3), 3).astype(np.float32)
        strength = rng.uniform(0, 1)
        x = cv2.transform(x, (1 - strength) * np.eye(3, dtype=np.float32) + strength * weights)
    return x * np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
