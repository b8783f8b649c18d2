#!/usr/bin/env python3
"""A picture of each frame that failed, and a list of them with reason and numbers: to be looked at.

usage: scripts/failures.py RUN_FOLDER --source FOLDER --map FILE.mbtiles [--truth truth.csv] [--hfov DEG] [--out FOLDER]

RUN_FOLDER is what `skyfix replay --out` wrote. --source is the recording or the folder of photos (a recording brings truth.csv and focal
length; photos need --truth and --hfov). Each picture shows, north up and at one scale: the frame, rectified by its true heading and height
over level ground; the map where the image centre truly lies; the map where it was found. A frame fails that has no fix, or whose image
centre is off by more than 25 m. Needs Python with numpy and opencv (models/train/requirements.txt).

    scripts/failures.py out/ablation/runs/full-dense-correlation--fengyuan --source ../shared/data/fengyuan/photos --hfov 69 \\
        --truth ../shared/data/fengyuan/truth.csv --map out/ablation/fengyuan-all.mbtiles
"""
import argparse
import csv
import math
import re
import sqlite3
import tomllib
from pathlib import Path

import cv2
import numpy as np

FAILED_M = 25.0
PANEL_PX, BAR_PX, GAP_PX = 480, 66, 6
# The panels show this share more ground than the frame's longer side.
MARGIN = 1.15
EARTH_RADIUS_M = 6_371_000.0
TILE_PX = 256


class Map:
    """Views of an MBTiles file."""

    def __init__(self, path):
        self.store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.finest = self.store.execute("SELECT max(zoom_level) FROM tiles").fetchone()[0]
        self.kept = {}

    def view(self, lat, lon, gsd_m):
        """The ground around a place, north up; black where the map has none."""
        metres_a_pixel = 2 * math.pi * 6_378_137.0 * math.cos(math.radians(lat)) / TILE_PX
        zoom = max(0, min(self.finest, math.ceil(math.log2(metres_a_pixel / gsd_m))))
        while zoom > 0 and not self.has(lat, lon, zoom):
            zoom -= 1
        scale = gsd_m / (metres_a_pixel / 2**zoom)
        x, y = pixel(lat, lon, zoom)
        half = PANEL_PX * scale / 2
        left, top = int((x - half) // TILE_PX), int((y - half) // TILE_PX)
        across, down = int((x + half) // TILE_PX) - left + 1, int((y + half) // TILE_PX) - top + 1
        mosaic = np.zeros((down * TILE_PX, across * TILE_PX, 3), np.uint8)
        for row in range(down):
            for column in range(across):
                tile = self.tile(zoom, left + column, top + row)
                if tile is not None:
                    mosaic[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX] = tile
        offset = (np.arange(PANEL_PX) + 0.5 - PANEL_PX / 2) * scale
        columns = np.broadcast_to(x - left * TILE_PX + offset - 0.5, (PANEL_PX, PANEL_PX)).astype(np.float32)
        rows = np.broadcast_to((y - top * TILE_PX + offset - 0.5)[:, None], (PANEL_PX, PANEL_PX)).astype(np.float32)
        return cv2.remap(mosaic, columns, rows, cv2.INTER_LINEAR)

    def has(self, lat, lon, zoom):
        x, y = pixel(lat, lon, zoom)
        return self.tile(zoom, int(x // TILE_PX), int(y // TILE_PX)) is not None

    def tile(self, zoom, x, y):
        if (zoom, x, y) not in self.kept:
            query = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
            found = self.store.execute(query, (zoom, x, 2**zoom - 1 - y)).fetchone()
            self.kept[zoom, x, y] = found and cv2.imdecode(np.frombuffer(found[0], np.uint8), cv2.IMREAD_COLOR)
        return self.kept[zoom, x, y]


def pixel(lat, lon, zoom):
    """Web Mercator pixels."""
    size = TILE_PX * 2**zoom
    return (lon + 180) / 360 * size, (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * size


def pose(row):
    """True heading, radians clockwise from north, and height above ground, metres, of a row of truth."""
    height = float(row.get("height_agl_m") or row.get("alt_agl_m") or "nan")
    if row.get("flight_yaw_deg"):
        return math.radians(float(row["flight_yaw_deg"])), height
    w, x, y, z = (float(row[k]) for k in ("qw", "qx", "qy", "qz"))
    return math.atan2(1 - 2 * (y * y + z * z), 2 * (x * y + w * z)), height


def rectified(frame, focal_px, heading, height, gsd_m):
    """The frame north up around its centre, as if it looked straight down on level ground."""
    e = (np.arange(PANEL_PX) + 0.5 - PANEL_PX / 2) * gsd_m
    east, north = np.broadcast_to(e, (PANEL_PX, PANEL_PX)), np.broadcast_to(-e[:, None], (PANEL_PX, PANEL_PX))
    right = east * math.cos(heading) - north * math.sin(heading)
    forward = east * math.sin(heading) + north * math.cos(heading)
    x = frame.shape[1] / 2 + right * focal_px / height - 0.5
    y = frame.shape[0] / 2 - forward * focal_px / height - 0.5
    # Reduced beforehand, or thin structures would flicker.
    factor = max(1, int(gsd_m * focal_px / height))
    small = cv2.resize(frame, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return cv2.remap(small, (x / factor).astype(np.float32), (y / factor).astype(np.float32), cv2.INTER_LINEAR)


def offset_m(truth, row):
    """Metres east and north of the truth; none without a fix."""
    if row["outcome"] != "fix":
        return None
    lat, lon = float(truth["centre_lat"]), float(truth["centre_lon"])
    north = math.radians(float(row["centre_lat_deg"]) - lat) * EARTH_RADIUS_M
    east = math.radians(float(row["centre_lon_deg"]) - lon) * EARTH_RADIUS_M * math.cos(math.radians(lat))
    return east, north


def words(row, truth, off):
    heading, height = pose(truth)
    found = "no fix: " + row["reason"] if off is None else f"off by {math.hypot(*off):.0f} m (east {off[0]:+.0f}, north {off[1]:+.0f})"
    sigma = "" if off is None else f", sigma {float(row['sigma_e_m']):.1f} m"
    score = f"support {float(row['score'] or 0):.3f}, {row['inliers'] or 0} inliers, {row['candidates']} cells{sigma}"
    return found, score, f"truth: heading {math.degrees(heading) % 360:.0f} deg, height {height:.0f} m"


def picture(panels, titles, text):
    width = len(panels) * PANEL_PX + (len(panels) - 1) * GAP_PX
    out = np.full((BAR_PX + PANEL_PX, width, 3), 255, np.uint8)
    put = lambda line, at, size=0.5: cv2.putText(out, line, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)
    for i, line in enumerate(text):
        put(line, (8, 17 + 16 * i))
    for i, (panel, title) in enumerate(zip(panels, titles)):
        x = i * (PANEL_PX + GAP_PX)
        middle = PANEL_PX // 2
        cv2.drawMarker(panel, (middle, middle), (0, 255, 255), cv2.MARKER_CROSS, 18, 1)
        out[BAR_PX:, x : x + PANEL_PX] = panel
        put(title, (x + 8, BAR_PX - 4), 0.42)
    return out


def focal_of(source, hfov_deg, width_px):
    if hfov_deg:
        return width_px / 2 / math.tan(math.radians(hfov_deg) / 2)
    camera = tomllib.loads((source / "flight.toml").read_text())["camera"]
    if "hfov_deg" in camera:
        return width_px / 2 / math.tan(math.radians(camera["hfov_deg"]) / 2)
    return camera["fx_px"] * width_px / camera["width_px"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--hfov", type=float)
    parser.add_argument("--out", type=Path, help="by default failures/ in the run's folder")
    options = parser.parse_args()
    if not options.hfov and not (options.source / "flight.toml").exists():
        parser.error("photos bring no focal length that this script reads: give --hfov")
    out = options.out or options.run / "failures"
    out.mkdir(parents=True, exist_ok=True)
    truths = {r["frame"]: r for r in csv.DictReader(open(options.truth or options.source / "truth.csv")) if r["centre_trusted"] == "yes"}
    rows = [r for r in csv.DictReader(open(options.run / "fixes.csv")) if r["frame"] in truths]
    photos = options.source / "photos" if (options.source / "photos").is_dir() else options.source
    world, lines = Map(options.map), []
    for row in rows:
        truth = truths[row["frame"]]
        off = offset_m(truth, row)
        if off is not None and math.hypot(*off) <= FAILED_M:
            continue
        frame = cv2.imread(str(photos / row["frame"]))
        if frame is None:
            raise SystemExit(f"{photos / row['frame']}: cannot be read; only photos can, not videos")
        heading, height = pose(truth)
        focal_px = focal_of(options.source, options.hfov, frame.shape[1])
        gsd_m = MARGIN * max(frame.shape[:2]) / focal_px * height / PANEL_PX
        panels = [rectified(frame, focal_px, heading, height, gsd_m)]
        panels.append(world.view(float(truth["centre_lat"]), float(truth["centre_lon"]), gsd_m))
        titles = [f"{row['frame']}, {PANEL_PX * gsd_m:.0f} m across", "the map where it is"]
        if off is not None:
            panels.append(world.view(float(row["centre_lat_deg"]), float(row["centre_lon_deg"]), gsd_m))
            titles.append("the map where it was found")
        text = words(row, truth, off)
        name = re.sub(r"[^\w.-]", "_", row["frame"]).rsplit(".", 1)[0] + ".failed.jpg"
        cv2.imwrite(str(out / name), picture(panels, titles, text), [cv2.IMWRITE_JPEG_QUALITY, 85])
        lines.append(f"| [{row['frame']}]({name}) | {' | '.join(text)} |")
    head = f"{len(lines)} of {len(rows)} frames with a known centre failed.\n\n| frame | outcome | numbers | truth |\n|---|---|---|---|\n"
    (out / "failures.md").write_text(head + "\n".join(lines) + "\n")
    print(f"{len(lines)} of {len(rows)} frames failed: {out / 'failures.md'}")


if __name__ == "__main__":
    main()
