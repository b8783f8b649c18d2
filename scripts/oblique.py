#!/usr/bin/env python3
"""How well a frame is located when the camera does not look straight down: docs/oblique.svg and its table.

usage: scripts/oblique.py WORK_FOLDER [--skyfix target/release/skyfix] [--plot docs/oblique.svg]

The same simulated flight with the camera tilted by 0 to 45 degrees, each frame searched for on its own (--no-prior). Attitude known: the
recording states how the camera is mounted. Attitude unknown: it says "straight down", as a gimbal's metadata do. Image centre: the
aircraft is taken to be where the image centre lies, the assumption of arXiv 2506.09748, from the fixes of the known attitude.
"""
import argparse
import csv
import math
import re
import statistics
import subprocess
from pathlib import Path

TILTS_DEG = range(0, 50, 5)
SEED = 31
EARTH_RADIUS_M = 6_371_000.0
SUCCESS_M = 25.0
CURVES = (("attitude known", "#0072b2"), ("attitude unknown", "#d55e00"), ("image centre", "#009e73"))


def simulate(skyfix, folder, tilt_deg):
    if not (folder / "truth.csv").exists():
        words = ["--seed", SEED, "--tilt", tilt_deg, "--duration", 60, "--rate", 0.5, "--map-side", 1700, "--leg", 400]
        subprocess.run([skyfix, "simulate", folder, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def states_its_mounting(folder, out, tilt_deg):
    """The recording again, with the true attitude of the camera in the body: the nominal one turned by the tilt."""
    out.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name != "flight.toml" and not (out / path.name).exists():
            (out / path.name).symlink_to(path.resolve())
    half = math.radians(tilt_deg) / 2
    sine, cosine = lean_direction(folder)
    lean = [math.cos(half), cosine * math.sin(half), sine * math.sin(half), 0.0]
    mounted = product(lean, [math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
    text = (folder / "flight.toml").read_text()
    text = re.sub(r"^body_from_camera = .*$", f"body_from_camera = {[round(x, 9) for x in mounted]}", text, flags=re.M)
    (out / "flight.toml").write_text(text)


def lean_direction(folder):
    """Sine and cosine of the direction, in the body, of the axis about which the camera is turned: a turn about an axis (c, s) moves what
    it sees by s forward and by c to the left."""
    forward = right = 0.0
    for row in csv.DictReader(open(folder / "truth.csv")):
        if not row["centre_lat"]:
            continue
        north = math.radians(float(row["centre_lat"]) - float(row["lat"]))
        east = math.radians(float(row["centre_lon"]) - float(row["lon"])) * math.cos(math.radians(float(row["lat"])))
        w, x, y, z = (float(row[k]) for k in ("qw", "qx", "qy", "qz"))
        heading = math.atan2(1 - 2 * (y * y + z * z), 2 * (x * y + w * z))
        forward += east * math.sin(heading) + north * math.cos(heading)
        right += east * math.cos(heading) - north * math.sin(heading)
    length = math.hypot(forward, right) or 1.0
    return forward / length, -right / length


def product(a, b):
    (w, x, y, z), (p, q, r, s) = a, b
    return [w * p - x * q - y * r - z * s, w * q + x * p + y * s - z * r, w * r - x * s + y * p + z * q, w * s + x * r - y * q + z * p]


def errors(skyfix, recording, out, columns):
    """Distance of each frame's position from the aircraft, metres; infinite where there is none."""
    words = [skyfix, "replay", recording, "--map", recording / "map.mbtiles", "--no-prior", "--no-viewer", "--out", out]
    subprocess.run(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    truth = {row["frame"]: (float(row["lat"]), float(row["lon"])) for row in csv.DictReader(open(recording / "truth.csv"))}
    found = {column: [] for column in columns}
    for row in csv.DictReader(open(out / "fixes.csv")):
        for column, (lat_name, lon_name) in columns.items():
            found[column].append(distance_m(truth[row["frame"]], row, lat_name, lon_name))
    return found


def distance_m(truth, row, lat_name, lon_name):
    if row["outcome"] != "fix":
        return math.inf
    north = math.radians(float(row[lat_name]) - truth[0]) * EARTH_RADIUS_M
    east = math.radians(float(row[lon_name]) - truth[1]) * EARTH_RADIUS_M * math.cos(math.radians(truth[0]))
    return math.hypot(north, east)


def plot(path, rows):
    """Two panels as plain SVG: success, and median error."""
    width, height, left, top, gap = 360, 220, 60, 40, 90
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" width="880" height="330" font-family="sans-serif" font-size="12">']
    parts.append('<rect width="880" height="330" fill="white"/>')
    for panel, (title, value, most) in enumerate((("share of frames within 25 m", 0, 1.0), ("median error, metres", 1, 60.0))):
        x0 = left + panel * (width + gap)
        x = lambda tilt: x0 + tilt / 45 * width
        y = lambda v: top + height - min(v / most, 1.0) * height
        parts.append(f'<text x="{x0}" y="{top - 14}" font-weight="bold">{title}</text>')
        parts.append(f'<rect x="{x0}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        for step in range(5):
            v = most * step / 4
            parts.append(f'<text x="{x0 - 8}" y="{y(v) + 4}" text-anchor="end">{v:g}</text>')
            parts.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{y(v)}" y2="{y(v)}" stroke="#eee"/>')
        for tilt in TILTS_DEG:
            parts.append(f'<text x="{x(tilt)}" y="{top + height + 16}" text-anchor="middle">{tilt}</text>')
        parts.append(f'<text x="{x0 + width / 2}" y="{top + height + 34}" text-anchor="middle">tilt of the camera, degrees</text>')
        for k, (name, colour) in enumerate(CURVES):
            points = " ".join(f"{x(tilt):.1f},{y(results[name][value]):.1f}" for tilt, results in rows if math.isfinite(results[name][value]))
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            if panel == 0:
                parts.append(f'<text x="{x0 + 10 + 150 * k}" y="{top + height + 54}" fill="{colour}">{name}</text>')
    parts.append("</svg>\n")
    path.write_text("\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--skyfix", type=Path, default=Path("target/release/skyfix"))
    parser.add_argument("--plot", type=Path, default=Path("docs/oblique.svg"))
    options = parser.parse_args()
    camera, centre = ("lat_deg", "lon_deg"), ("centre_lat_deg", "centre_lon_deg")
    rows = []
    print("| tilt | " + " | ".join(f"{name}: < 25 m, median" for name, _ in CURVES) + " |\n|---|---|---|---|")
    for tilt_deg in TILTS_DEG:
        plain, stated = options.work / f"tilt{tilt_deg}", options.work / f"stated{tilt_deg}"
        simulate(options.skyfix, plain, tilt_deg)
        states_its_mounting(plain, stated, tilt_deg)
        known = errors(options.skyfix, stated, options.work / f"out-stated{tilt_deg}", {"attitude known": camera, "image centre": centre})
        unknown = errors(options.skyfix, plain, options.work / f"out-plain{tilt_deg}", {"attitude unknown": camera})
        results = {
            name: (sum(e < SUCCESS_M for e in found) / len(found), statistics.median(found)) for name, found in (known | unknown).items()
        }
        rows.append((tilt_deg, results))
        print(f"| {tilt_deg}° | " + " | ".join(f"{results[n][0]:.2f}, {results[n][1]:.1f} m" for n, _ in CURVES) + " |", flush=True)
    plot(options.plot, rows)


if __name__ == "__main__":
    main()
