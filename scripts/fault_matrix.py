#!/usr/bin/env python3
"""The fault matrix: every input and output of a flight × every way to fail, each with what is expected of it.

    scripts/fault_matrix.py                    all cells, and the table of docs/TESTING.md
    scripts/fault_matrix.py height gnss:wrong  some of them

The bundled flight is flown with the fault from 8 s to 14 s, or through the whole flight where it cannot come and go. What must come of it stands in
fault_cells.py, written down before it is flown: the sources of the track that may occur during the fault, how far the track may be off (and never more than
50 m and five of its own sigmas), seconds until it is `visual` again, and a counter or a message. A deviation fails, and so does the exit status.
Needs pymavlink for MAVLink.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

from fault_cells import CELLS, KINDS, Cell
from fault_flight import END, FROM, PHOTOS, ROOT, TO, VIDEO, Flight, inside
from fault_live import run_live, viewer


def truth():
    with open(VIDEO / "truth.csv") as table:
        return [(int(r["stamp_ns"]) / 1e9, float(r["lat"]), float(r["lon"])) for r in csv.DictReader(table)]


TRUTH = truth()


def off_m(at_s, lat, lon):
    """How far a position is from the truth at a time; nothing beyond its ends."""
    for a, b in zip(TRUTH, TRUTH[1:]):
        if a[0] <= at_s <= b[0]:
            f = (at_s - a[0]) / (b[0] - a[0])
            north = (lat - a[1] - f * (b[1] - a[1])) * 111_320
            return math.hypot(north, (lon - a[2] - f * (b[2] - a[2])) * 111_320 * math.cos(math.radians(lat)))
    return None


def track(out):
    """Time, source, error, sigma of each point; the last two nothing without a position."""
    points = []
    with open(out / "track.csv") as table:
        for row in csv.DictReader(table):
            at_s = int(row["stamp_ns"]) / 1e9
            if row["lat_deg"]:
                sigma = math.hypot(float(row["sigma_e_m"]), float(row["sigma_n_m"])) / math.sqrt(2)
                points.append((at_s, row["source"], off_m(at_s, float(row["lat_deg"]), float(row["lon_deg"])), sigma))
            else:
                points.append((at_s, row["source"], None, None))
    return points


def value(summary, path):
    for key in path.split("."):
        summary = summary.get(key) if isinstance(summary, dict) else None
    return summary


def deviations(cell, ran):
    """What is not as expected."""
    found = []
    if ran.code != cell.code:
        found.append(f"exit {ran.code}, not {cell.code}: {ran.words.strip().splitlines()[-1][-160:] if ran.words.strip() else ''}")
    if "panicked" in ran.words:
        found.append("panics")
    if cell.says and cell.says not in ran.words + json.dumps(ran.summary()):
        found.append(f"does not say '{cell.says}'")
    if cell.code == 1 or found:
        return found
    if cell.counter and not value(ran.summary(), cell.counter):
        found.append(f"{cell.counter} is {value(ran.summary(), cell.counter)}")
    if not (ran.out / "track.csv").is_file():
        return found if cell.code == 4 else found + ["no track"]
    # The filter needs a few frames to begin with.
    points = [p for p in track(ran.out) if 4.0 <= p[0] <= END]
    during = {p[1] for p in points if FROM <= p[0] < TO + 0.1}
    if not during <= cell.sources:
        found.append(f"sources {sorted(during - cell.sources)}")
    wrong = [p for p in points if p[2] is not None and p[2] > max(50.0, 5 * p[3])]
    if wrong:
        found.append(f"{len(wrong)} points up to {max(p[2] for p in wrong):.0f} m off, beyond what they say themselves")
    worst = max([p[2] for p in points if p[2] is not None and FROM <= p[0]], default=0.0)
    if worst > cell.error_m:
        found.append(f"{worst:.0f} m off")
    if cell.sources != {"lost"}:
        late = [p for p in points if p[0] >= TO + cell.back_s and p[1] != "visual"]
        if late:
            found.append(f"'{late[0][1]}' at {late[0][0]:.1f} s")
    return found


def sensor(flight, name, kind, wrong, garbage):
    """A table broken in one of the ways. `wrong` and `garbage` change a row."""
    held, count = {}, [0]

    def change(row, at_s):
        if not inside(at_s):
            return row
        count[0] += 1
        match kind:
            case "off":
                return None
            case "stuck":
                return [row[0]] + held.setdefault("row", row[1:])
            case "garbage":
                return garbage(row)
            case "wrong":
                return wrong(row)
            case "slow":
                return row if count[0] % 20 == 1 else None
            case "delayed":
                # What is measured is told with a stamp half a second late.
                past = held.setdefault("past", [])
                past.append(row[1:])
                return [row[0]] + past[max(0, len(past) - 1 - held["lag"])]
            case "intermittent":
                return row if at_s % 1.0 < 0.5 else None

    rows = flight.rows(flight.folder / f"{name}.csv")
    held["lag"] = round(0.5e9 / (int(rows[2][0]) - int(rows[1][0])))
    flight.edit(name, change)


def elsewhere(args):
    """A flight over other ground."""
    other = args.work / "elsewhere"
    if not (other / "map.mbtiles").exists():
        subprocess.run([args.skyfix, "simulate", other, "--seed", "99", "--duration", "4", "--rate", "1", "--map-side", "600"], check=True, stdout=subprocess.DEVNULL)
    return other


def scaled(columns, factor=1.0, more=0.0):
    return lambda row: [f"{float(v) * factor + more:.6f}" if i in columns else v for i, v in enumerate(row)]


def set_to(columns, text):
    return lambda row: [text if i in columns else v for i, v in enumerate(row)]


def break_photos(flight, kind):
    names = {i: flight.folder / f"photos/{i:06d}.jpg" for i in range(1, PHOTOS + 1)}
    of = lambda i: 0.5 + i / 2
    broken = [i for i in names if inside(of(i))]
    frozen = names[broken[0]].read_bytes()
    if kind == "delayed":
        flight.edit("photos", lambda row, at_s: [row[0], str(int(row[1]) + 250_000_000)] if inside(at_s) else row)
    for n, i in enumerate(broken):
        match kind:
            case "off":
                names[i].unlink()
            case "stuck":
                names[i].write_bytes(frozen)
            case "garbage":
                names[i].write_bytes(random.Random(i).randbytes(20_000))
            case "wrong":
                shutil.copy(elsewhere(flight.args) / f"photos/{1 + n % 4:06d}.jpg", names[i])
            case "slow":
                n % 3 and names[i].unlink()
            case "intermittent":
                n % 2 and names[i].unlink()
    if kind in ("off", "slow", "intermittent"):
        flight.edit("photos", lambda row, _: row if (flight.folder / "photos" / row[0]).exists() else None)


def break_gnss(flight, kind):
    rows = [[str(round(t * 1e9)), f"{lat:.8f}", f"{lon:.8f}", "2.0"] for t, lat, lon in TRUTH if t <= END]
    flight.write("gnss", [["t_ns", "lat_deg", "lon_deg", "sigma_m"], *rows])
    flight.more += ["--gnss", "on"]
    sensor(flight, "gnss", kind, scaled({1}, more=500 / 111_320), set_to({1}, "1e9"))


def break_video(flight, kind):
    shutil.rmtree(flight.folder / "photos")
    (flight.folder / "photos.csv").unlink()
    rows = flight.rows(VIDEO / "frames.csv")
    flight.write("frames", rows)
    video = bytearray((VIDEO / "video.mkv").read_bytes())
    if kind == "off":
        video = video[: len(video) // 5]
    if kind == "garbage":
        at = len(video) * 10 // 110
        video[at : at + 3000] = random.Random(1).randbytes(3000)
    (flight.folder / "video.mkv").write_bytes(video)
    flight.more += ["--frame-rate", "1" if kind == "slow" else "2", "--set", "source.stop_after_s=40"]


def run_cell(args, subject, kind):
    flight = Flight(args, f"{subject}:{kind}")
    match subject:
        case "photos":
            break_photos(flight, kind)
        case "video":
            break_video(flight, kind)
        case "imu":
            sensor(flight, "imu", kind, scaled({5}, more=3.0), set_to({4}, "1e9"))
        case "height":
            sensor(flight, "height", kind, scaled({1}, 1.5), set_to({1}, "1e9"))
        case "heading":
            sensor(flight, "heading", kind, scaled({1}, more=40.0), set_to({1}, "1e9"))
        case "attitude":
            sensor(flight, "attitude", kind, lambda row: [row[0], row[2], row[1], row[4], row[3], row[5]], set_to({1}, "1e9"))
        case "gnss":
            break_gnss(flight, kind)
        case "map":
            flight.own_map()
            if kind == "off":
                flight.map.unlink()
            if kind == "garbage":
                flight.map.write_bytes(flight.map.read_bytes()[:50_000])
            if kind == "wrong":
                flight.map = elsewhere(args) / "map.mbtiles"
                flight.more += ["--no-prior"]
        case "index":
            flight.own_map()
            index = flight.folder / "map.skyfix-dense.safetensors"
            if kind == "off":
                index.unlink()
            if kind == "garbage":
                data = bytearray(index.read_bytes())
                data[len(data) // 2] ^= 1
                index.write_bytes(data)
            if kind == "wrong":
                shutil.copy(elsewhere(args) / "map.mbtiles", flight.map)
        case "model":
            models = flight.folder / "models"
            if kind != "off":
                shutil.copytree(args.models, models, symlinks=False)
                name = next(p for p in models.iterdir() if p.name.startswith("skyfix-dense") and p.suffix == ".onnx")
                data = bytearray(name.read_bytes())
                name.write_bytes(b"" if kind == "wrong" else bytes(data[: len(data) // 2]) + b"\0" + bytes(data[len(data) // 2 + 1 :]))
            flight.env["SKYFIX_MODELS"] = str(models)
        case "disk":
            return run_disk(flight, kind)
        case "stdout":
            return run_stdout(flight, kind)
        case "mavlink":
            return run_live(flight, kind)
        case "viewer":
            with viewer(kind) as port:
                return run_live(flight, "none", f'viewer = "connect"\nviewer_address = "127.0.0.1:{port}"')
    return flight.fly()


def run_disk(flight, kind):
    flight.more += ["--set", "sinks.timeout_s=3"]
    if kind == "wrong":
        flight.out.write_text("a file")
        return flight.fly()
    flight.out.mkdir()
    table = flight.out / "fixes.csv"
    if kind == "off":
        table.symlink_to("/proc/version")
    if kind == "intermittent":
        table.symlink_to("/dev/full")

        def freed():
            errors = flight.folder / "stderr"
            while not (errors.exists() and "No space" in errors.read_text()):
                time.sleep(0.05)
            table.unlink()
            table.touch()
        threading.Thread(target=freed, daemon=True).start()
    if kind in ("stuck", "slow"):
        os.mkfifo(table)
    if kind == "slow":
        def read():
            with open(table) as pipe:
                for _ in pipe:
                    time.sleep(0.05)
        threading.Thread(target=read, daemon=True).start()
    return flight.fly()


def run_stdout(flight, kind):
    def read(process):
        if kind == "off":
            process.stdout.close()
        if kind == "slow":
            def slowly():
                for _ in process.stdout:
                    time.sleep(0.01)
            threading.Thread(target=slowly, daemon=True).start()
    # A pipe holds 64 KiB: more lines than that.
    flight.track_rate = 100
    flight.more += ["--set", "sinks.timeout_s=2", "--set", 'sinks.jsonl=["stdout"]']
    return flight.fly(read)


def table(results):
    """The matrix for docs/TESTING.md."""
    lines = ["| input or output | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for subject, cells in CELLS.items():
        row = []
        for kind in KINDS:
            cell = cells[kind]
            mark = {None: "", True: "✓ ", False: "✗ "}[results.get((subject, kind))]
            row.append(mark + cell.told() if isinstance(cell, Cell) else f"– {cell}")
        lines.append(f"| {subject} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def write_table(results):
    document = ROOT / "docs/TESTING.md"
    begin, end = "<!-- fault matrix: written by scripts/fault_matrix.py -->", "<!-- end of the fault matrix -->"
    text = document.read_text()
    document.write_text(text[: text.index(begin) + len(begin)] + "\n" + table(results) + "\n" + text[text.index(end) :])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="SUBJECT or SUBJECT:KIND")
    parser.add_argument("--skyfix", type=pathlib.Path, default=ROOT / "target/release/skyfix")
    parser.add_argument("--models", type=pathlib.Path, default=ROOT / "models")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/fault-matrix")
    parser.add_argument("--table", action="store_true", help="write the table, too, when only some cells are flown")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that a cell may take")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    kept = args.work / "results.json"
    results = {tuple(cell): passed for cell, passed in json.loads(kept.read_text())} if args.cells and kept.is_file() else {}
    flown = []
    for subject, cells in CELLS.items():
        for kind, cell in cells.items():
            wanted = not args.cells or subject in args.cells or f"{subject}:{kind}" in args.cells
            if not wanted or not isinstance(cell, Cell):
                continue
            found = deviations(cell, run_cell(args, subject, kind))
            results[subject, kind] = not found
            flown.append(not found)
            kept.write_text(json.dumps([[list(cell), passed] for cell, passed in results.items()]))
            print(f"{'FAIL' if found else 'PASS'} {subject}:{kind}: {'; '.join(found) or cell.told()}", flush=True)
            if not found:
                shutil.rmtree(args.work / f"{subject}-{kind}", ignore_errors=True)
    if args.table or not args.cells:
        write_table(results)
    print(f"{sum(flown)} of {len(flown)} cells as expected")
    return 0 if all(flown) else 1


if __name__ == "__main__":
    sys.exit(main())
