"""Worlds of `skyfix simulate` as training pairs: what the camera saw and what the map shows of the same ground.

    python worlds.py make FOLDER [--worlds 16] [--skyfix ../../target/release/skyfix]

Each photo is laid north-up on a metric grid with its true pose; the map is sampled on the same grid. A simulated map lies a few metres
off (as real ones do) by a distance that is the same all over a world: it is measured from all photos of the world together and taken
out, so that both layers are registered.
"""
import argparse
import csv
import math
import re
import sqlite3
import subprocess
from pathlib import Path

import cv2
import numpy as np

FIRST_SEED = 1000
GSD_M = 0.3
TILE_PX = 256
EARTH_RADIUS_M = 6_378_137.0
MAX_OFFSET_M = 8.0


def make(folder: Path, worlds: int, skyfix: Path) -> None:
    """Sixteen short, fast flights see more ground than one long one."""
    for i in range(worlds):
        world = folder / str(FIRST_SEED + i)
        if (world / "truth.csv").exists():
            continue
        settings = {
            "--seed": FIRST_SEED + i, "--height": 80 + 12 * (i % 16), "--tilt": i % 6, "--duration": 40, "--rate": 0.35,
            "--speed": 25, "--leg": 300, "--map-side": 1100,
        }  # fmt: skip
        arguments = [str(word) for setting in settings.items() for word in setting]
        subprocess.run([skyfix, "simulate", world, *arguments], check=True, stdout=subprocess.DEVNULL)
        print(world, flush=True)


def load(folder: Path) -> list:
    """(photo, map) pairs of RGB images on a common north-up grid of `GSD_M`; pixels that the photo does not show are black in it."""
    pairs = []
    for world in sorted(folder.glob("*/truth.csv")):
        pairs += load_world(world.parent)
    return pairs


def load_world(folder: Path) -> list:
    mosaic = Mosaic(folder / "map.mbtiles")
    focal_px = float(re.search(r"^fx_px = (\S+)", (folder / "flight.toml").read_text(), re.M).group(1))
    with open(folder / "truth.csv") as file:
        frames = [lay_out(folder / "photos" / row["frame"], row, focal_px) for row in csv.DictReader(file) if row["centre_lat"]]
    offset_m = map_offset_m(mosaic, frames)
    return [(photo, mosaic.view(lat, lon, photo.shape[1], photo.shape[0], offset_m)) for photo, lat, lon in frames]


def lay_out(path: Path, row: dict, focal_px: float):
    """The photo north-up, and latitude and longitude of the grid's middle, which is the image centre's true place."""
    photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    height, width = photo.shape[:2]
    lat, lon, centre_lat, centre_lon = (float(row[k]) for k in ("lat", "lon", "centre_lat", "centre_lon"))
    above_ground_m = float(row["height_agl_m"])
    axis = np.array([*metres(lat, lon, centre_lat, centre_lon), -above_ground_m])
    axis /= np.linalg.norm(axis)
    # The camera's right: across the aircraft's nose, and across the axis.
    w, x, y, z = (float(row[k]) for k in ("qw", "qx", "qy", "qz"))
    nose = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 0.0])
    right = np.cross(axis, nose)
    right /= np.linalg.norm(right)
    camera_from_enu = np.stack([right, np.cross(axis, right), axis])
    side = math.ceil(math.hypot(width, height) * above_ground_m / focal_px / GSD_M)
    ground_from_grid = np.array([[GSD_M, 0, -GSD_M * (side - 1) / 2], [0, -GSD_M, GSD_M * (side - 1) / 2], [0, 0, 1.0]])
    # Ground relative to the image centre's place; the camera stands at −axis · range from there.
    ray = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.0]])
    ray[:, 2] += axis * (above_ground_m / -axis[2])
    intrinsics = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1.0]])
    photo_from_grid = intrinsics @ camera_from_enu @ ray @ ground_from_grid
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(photo, photo_from_grid, (side, side), flags=flags), centre_lat, centre_lon


def metres(lat, lon, to_lat, to_lon):
    """East and north, on a sphere: exact enough over a photo's width."""
    east = math.radians(to_lon - lon) * math.cos(math.radians(lat)) * EARTH_RADIUS_M
    return east, math.radians(to_lat - lat) * EARTH_RADIUS_M


class Mosaic:
    """The finest zoom of an MBTiles file as one image."""

    def __init__(self, path: Path):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        (self.zoom,) = database.execute("select max(zoom_level) from tiles").fetchone()
        rows = database.execute("select tile_column, tile_row, tile_data from tiles where zoom_level = ?", [self.zoom]).fetchall()
        tiles = [(x, 2**self.zoom - 1 - y, data) for x, y, data in rows]
        self.left, self.top = min(t[0] for t in tiles), min(t[1] for t in tiles)
        columns, lines = max(t[0] for t in tiles) - self.left + 1, max(t[1] for t in tiles) - self.top + 1
        self.image = np.zeros((lines * TILE_PX, columns * TILE_PX, 3), np.uint8)
        for x, y, data in tiles:
            tile = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            row, column = (y - self.top) * TILE_PX, (x - self.left) * TILE_PX
            self.image[row : row + TILE_PX, column : column + TILE_PX] = tile

    def view(self, lat, lon, width, height, offset_m=(0.0, 0.0)):
        """North-up view of `GSD_M` whose middle shows the place, `offset_m` (east, north) beside it."""
        world_px = TILE_PX * 2**self.zoom
        x = (lon + 180) / 360 * world_px - self.left * TILE_PX
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * world_px - self.top * TILE_PX
        px_a_metre = world_px / (2 * math.pi * EARTH_RADIUS_M * math.cos(math.radians(lat)))
        scale = GSD_M * px_a_metre
        x, y = x + offset_m[0] * px_a_metre - 0.5, y - offset_m[1] * px_a_metre - 0.5
        map_from_view = np.array([[scale, 0, x - scale * (width - 1) / 2], [0, scale, y - scale * (height - 1) / 2]])
        return cv2.warpAffine(self.image, map_from_view, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def edges(image: np.ndarray) -> np.ndarray:
    """How much the picture changes: fields change their colours between the dates, seldom their borders."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    return np.sqrt(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)))


def map_offset_m(mosaic: Mosaic, frames: list):
    """Where the map shows the places of a world: the peak of the sum of all photos' correlations."""
    reach = round(MAX_OFFSET_M / GSD_M)
    total = np.zeros((2 * reach + 1, 2 * reach + 1))
    for photo, lat, lon in frames:
        side = photo.shape[0]
        inner = slice(side // 2 - side // 5, side // 2 + side // 5)  # inside the photo whatever its heading
        template = edges(photo)[inner, inner]
        wide = edges(mosaic.view(lat, lon, template.shape[1] + 2 * reach, template.shape[0] + 2 * reach))
        total += cv2.matchTemplate(wide, template, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(total.argmax(), total.shape)
    return (column - reach) * GSD_M, (reach - row) * GSD_M


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worlds", type=int, default=16)
    parser.add_argument("--skyfix", type=Path, default=Path(__file__).resolve().parents[2] / "target" / "release" / "skyfix")
    options = parser.parse_args()
    make(options.folder, options.worlds, options.skyfix)


if __name__ == "__main__":
    main()
