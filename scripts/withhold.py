#!/usr/bin/env python3
"""What the filter is worth where every third fix is kept from it: the live and the smoothed track of the real photo flight, all three phases
pooled, with and without the way between consecutive photos.

usage: scripts/withhold.py DATA_FOLDER [WORK_FOLDER]     (DATA_FOLDER holds fengyuan/; SKYFIX names another binary)
"""
import csv
import math
import os
import statistics
import subprocess
import sys

METRES_A_DEGREE = 111_195.0
EVERY = 3
TRACKS = {"track": "live", "track_smoothed": "smoothed"}


def errors_m(path, truth):
    """Distance of the track from the truth at each frame; infinite where it is lost."""
    out = []
    with open(path) as table:
        for row in csv.DictReader(table):
            true = truth.get(row["frame"])
            if true is None:
                continue
            if not row["lat_deg"]:
                out.append(math.inf)
                continue
            north = (float(row["lat_deg"]) - float(true["lat"])) * METRES_A_DEGREE
            east = (float(row["lon_deg"]) - float(true["lon"])) * METRES_A_DEGREE * math.cos(math.radians(float(true["lat"])))
            out.append(math.hypot(north, east))
    return out


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    data, work = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "out/withhold"
    skyfix = os.environ.get("SKYFIX", "target/release/skyfix")
    flight, map_file = os.path.join(data, "fengyuan"), os.path.join(work, "flight.mbtiles")
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(flight, "truth.csv")) as table:
        truth = {row["frame"]: row for row in csv.DictReader(table)}
    if not os.path.exists(map_file):
        subprocess.run([skyfix, "map", "build", os.path.join(flight, "map.jpg"), "-o", map_file], check=True)

    def replay(name, *more):
        folder = os.path.join(work, name)
        command = [skyfix, "replay", os.path.join(flight, "photos"), "--map", map_file, "--no-viewer", "--out", folder, *more]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return [errors_m(os.path.join(folder, f"{track}.csv"), truth) for track in TRACKS]

    for name, odometry in (("odometry", ["--odometry", "on"]), ("alone", ["--odometry", "off"])):
        whole = replay(f"{name}-all", *odometry)
        phases = [replay(f"{name}-{phase}", "--withhold", f"{EVERY}:{phase}", *odometry) for phase in range(EVERY)]
        for track, shown in enumerate(TRACKS.values()):
            each = [phase[track] for phase in phases]
            held = [e for phase, errors in enumerate(each) for i, e in enumerate(errors) if i % EVERY == phase]
            rows = (("no fix withheld", whole[track]), ("every third withheld", sum(each, [])), ("of these, without fix", held))
            for what, errors in rows:
                success = sum(e < 25.0 for e in errors) / len(errors)
                print(f"{name:<8} {shown:<8} {what:<22} {len(errors):>3} points   <25 m {success:.3f}   "
                      f"median {statistics.median(errors):.1f} m   worst {max(errors):.1f} m")


if __name__ == "__main__":
    main()
