#!/usr/bin/env python3
"""Measures a live flight: frames a second, latency from capture to fix, age of the newest fix, memory; or whether it lasts.

A recording with a video is sent as RTP over the loopback interface at its own pace, with its telemetry as sidecars, to `skyfix run`:
first at one frame a second, for the latency of a single frame, then every frame, more than the machine can serve.

    skyfix simulate out/flight --video 10 --duration 70
    gst-launch-1.0 filesrc location=out/flight/video.mkv ! decodebin ! videorate ! video/x-raw,framerate=20/1 ! videoconvert ! \\
        openh264enc bitrate=4000000 gop-size=20 ! h264parse ! matroskamux ! filesink location=out/fast.mkv
    mv out/fast.mkv out/flight/video.mkv
    scripts/live.py out/flight

Whether it lasts: the photos of the bundled flight, forth and back (no aircraft jumps from the end to the start), at twice the rate that can be
served, for an hour:

    scripts/live.py --endurance

After the first five minutes a line is fitted to the anonymous memory; descriptors, threads, and the 99th percentile of the age of the track's points
when they are written are compared between the last third and the first. `endurance/states.csv` keeps what was seen each second. Exit status 1 when a bound is missed.
"""

import argparse
import csv
import datetime
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib

PIPELINE = """
[source]
kind = "rtp"
listen = "{port}"
first_stamp_s = {first_s}
frame_rate = {rate}
[source.camera]
hfov_deg = {hfov_deg}
[telemetry]
sidecars = "{recording}"
[map]
path = "{map}"
{start}
[sinks]
out = "{out}"
rrd = false
jsonl = ["stdout"]
"""


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(p * len(ordered)) - 1)] if ordered else math.nan


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))


def run(args, recording, name, rate):
    flight = tomllib.loads((recording / "flight.toml").read_text())
    camera = flight["camera"]
    hfov_deg = camera.get("hfov_deg") or 2 * math.degrees(math.atan(camera["width_px"] / 2 / camera["fx_px"]))
    start = flight.get("start")
    first_s = 0.0
    if (recording / "frames.csv").exists():
        with open(recording / "frames.csv") as table:
            first_s = int(next(csv.DictReader(table))["stamp_ns"]) / 1e9
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    out = args.out / f"{recording.name}-{name}"
    out.mkdir(parents=True, exist_ok=True)
    file = out / "live.toml"
    file.write_text(PIPELINE.format(
        port=port, first_s=first_s, rate=rate, hfov_deg=hfov_deg, recording=recording.resolve(), map=args.map or (recording / "map.mbtiles").resolve(),
        start="" if start is None else "[filter.start]\n" + "\n".join(f"{k} = {v}" for k, v in start.items()), out=out.resolve()))
    skyfix = subprocess.Popen([args.skyfix, "run", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in skyfix.stderr:
        if "Ctrl-C" in line:
            break
    threading.Thread(target=skyfix.stderr.read, daemon=True).start()
    arrivals = {}

    def read():
        for line in skyfix.stdout:
            frame = json.loads(line)["frame"]
            if frame is not None:
                arrivals[frame] = time.monotonic()

    reader = threading.Thread(target=read)
    reader.start()
    sender = subprocess.Popen(
        ["gst-launch-1.0", "-q", "filesrc", f"location={recording / 'video.mkv'}", "!", "matroskademux", "!", "h264parse", "config-interval=-1", "!",
         "rtph264pay", "mtu=1200", "!", "udpsink", "host=127.0.0.1", f"port={port}", "sync=true"], stderr=subprocess.DEVNULL)
    begun, memory = time.monotonic(), []
    while sender.poll() is None and time.monotonic() - begun < args.seconds:
        time.sleep(1)
        memory.append(resident_mib(skyfix.pid))
    sender.kill()
    time.sleep(1)
    skyfix.send_signal(signal.SIGINT)
    asked = time.monotonic()
    skyfix.wait()
    ended_s = time.monotonic() - asked
    reader.join()

    summary = json.loads((out / "summary.json").read_text())
    with open(out / "timing.csv") as table:
        latency_s = {r["frame"]: float(r["capture_to_fix_ms"]) / 1e3 for r in csv.DictReader(table)}
    # The map's spectra are made when they are first needed.
    served = [f for f in arrivals if arrivals[f] - begun > args.warm_up]
    times = [arrivals[f] for f in served]
    ages = [later - (arrivals[f] - latency_s[f]) for f, later in zip(served, times[1:])]
    steady = memory[args.warm_up:]
    middle = percentile(steady, 0.5)
    latency = [latency_s[f] for f in served]
    print(f"{recording.name}, {camera['width_px']}x{camera['height_px']}, {name}: {(len(times) - 1) / (times[-1] - times[0]):.2f} frames/s; "
          f"capture to fix P50 {percentile(latency, 0.5) * 1e3:.0f} ms, P99 {percentile(latency, 0.99) * 1e3:.0f} ms; "
          f"age of the newest fix P50 {percentile(ages, 0.5) * 1e3:.0f} ms, P99 {percentile(ages, 0.99) * 1e3:.0f} ms, at most {max(ages) * 1e3:.0f} ms; "
          f"memory {middle:.0f} MiB ({(min(steady) / middle - 1) * 100:+.1f} to {(max(steady) / middle - 1) * 100:+.1f} % over {len(steady)} s); "
          f"{summary['intake']}; {summary['fixes']} fixes; Ctrl-C {ended_s:.1f} s")
    return summary["intake"]["received"] == summary["intake"]["served"] + summary["intake"]["dropped"]


# What a live flight may do in an hour.
MOST_MEMORY_MB_AN_HOUR = 2.0
MOST_AGE_RATIO = 1.1
# So long the rate that can be served is measured, in its second half: the map's spectra are made when they are first needed.
CALIBRATION_S = 90
CALIBRATIONS = 8

ENDURANCE = """
[source]
kind = "gstreamer"
launch = 'multifilesrc location="{photos}/%06d.jpg" start-index=1 stop-index={count} loop=true caps="image/jpeg,framerate={rate_n}/{rate_d}" ! jpegdec ! identity sync=true'
live = true
first_stamp_s = 0.0
[source.camera]
calibration = "{calibration}"
[telemetry]
sidecars = "{telemetry}"
[map]
path = "{map}"
[filter.start]
lat_deg = {lat_deg}
lon_deg = {lon_deg}
sigma_m = {sigma_m}
[sinks]
out = "{out}"
rrd = false
jsonl = ["stdout"]
"""

CALIBRATION = """%YAML:1.0
---
image_width: {width_px}
image_height: {height_px}
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ {fx_px}, 0.0, {cx_px}, 0.0, {fy_px}, {cy_px}, 0.0, 0.0, 1.0 ]
distortion_coefficients: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ {d[0]}, {d[1]}, {d[2]}, {d[3]}, {d[4]} ]
"""


def rows_of(path):
    with open(path) as table:
        reader = csv.reader(table)
        return next(reader), list(reader)


def forth_and_back(count):
    """Numbers of photos from the first to the last and back again, to be repeated."""
    return list(range(count)) + list(range(count - 2, 0, -1))


def repeated_telemetry(recording, out, stamps, rate, seconds):
    """Heading, height and attitude of each photo, in the order and at the pace that the photos are shown at."""
    out.mkdir(parents=True, exist_ok=True)
    loops = math.ceil(seconds * rate / len(stamps)) + 1
    for name in ("heading", "height", "attitude"):
        header, rows = rows_of(recording / f"{name}.csv")
        times = [int(r[0]) for r in rows]
        nearest = [rows[min(range(len(times)), key=lambda i: abs(times[i] - s))] for s in stamps]
        with open(out / f"{name}.csv", "w") as table:
            print(",".join(header), file=table)
            for n in range(loops * len(stamps)):
                print(",".join([str(round(n / rate * 1e9))] + nearest[n % len(stamps)][1:]), file=table)


def status(pid):
    """Anonymous memory in bytes, threads, descriptors."""
    with open(f"/proc/{pid}/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["RssAnon"].split()[0]) * 1024, int(lines["Threads"]), len(os.listdir(f"/proc/{pid}/fd"))


def fly(args, recording, rate, seconds):
    """The states of the process, one a second, the ages of the points, each with its time, the times of the frames, and the summary."""
    flight = tomllib.loads((recording / "flight.toml").read_text())
    out = args.out / "endurance"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _, photos = rows_of(recording / "photos.csv")
    order = forth_and_back(len(photos))
    repeated_telemetry(recording, out / "telemetry", [int(photos[i][1]) for i in order], rate, seconds + 60)
    (out / "photos").mkdir()
    for n, i in enumerate(order, 1):
        (out / f"photos/{n:06d}.jpg").symlink_to((recording / "photos" / photos[i][0]).resolve())
    camera, start = flight["camera"], flight["start"]
    (out / "camera.yaml").write_text(CALIBRATION.format(d=camera.get("distortion", [0] * 5), **{k: camera[k] for k in ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")}))
    file = out / "endurance.toml"
    file.write_text(ENDURANCE.format(
        photos=(out / "photos").resolve(), count=len(order), rate_n=round(rate * 1000), rate_d=1000, calibration=(out / "camera.yaml").resolve(),
        telemetry=(out / "telemetry").resolve(), map=args.map or (recording / "map.mbtiles").resolve(), out=(out / "results").resolve(), **start))
    errors = open(out / "stderr", "w")
    skyfix = subprocess.Popen([args.skyfix, "run", str(file)], stdout=subprocess.PIPE, stderr=errors, text=True)
    begun, ages, states, frames = time.monotonic(), [], [], []

    def read():
        for line in skyfix.stdout:
            point = json.loads(line)
            if point["frame"] is not None:
                frames.append(time.monotonic() - begun)
            if point["wall"]:
                written = datetime.datetime.fromisoformat(point["wall"]).timestamp()
                ages.append((time.monotonic() - begun, time.time() - written))

    reader = threading.Thread(target=read)
    reader.start()
    with open(out / "states.csv", "w", buffering=1) as table:
        print("at_s,anonymous_bytes,threads,descriptors", file=table)
        while skyfix.poll() is None and time.monotonic() - begun < seconds:
            time.sleep(1)
            try:
                states.append((time.monotonic() - begun, *status(skyfix.pid)))
            except (FileNotFoundError, KeyError, ProcessLookupError):
                break
            print("{:.1f},{},{},{}".format(*states[-1]), file=table)
    skyfix.send_signal(signal.SIGINT)
    code = skyfix.wait(120)
    reader.join()
    if code not in (0, 3):
        raise SystemExit(f"skyfix ended with {code}; see {out / 'stderr'}")
    return states, ages, frames, json.loads((out / "results" / "summary.json").read_text())


def slope(points):
    """Of the line through points, by least squares."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


def endurance(args, recording):
    rate = 50.0
    # Decoding what is dropped takes its time, too: at another rate another number is served.
    for attempt in range(CALIBRATIONS):
        _, _, frames, _ = fly(args, recording, rate, CALIBRATION_S)
        served = sum(CALIBRATION_S / 2 < at < CALIBRATION_S for at in frames) / (CALIBRATION_S / 2)
        if served == 0:
            raise SystemExit("not one frame was served; is the machine busy?")
        print(f"of {rate:.2f} frames/s {served:.2f} were served", flush=True)
        overloaded = served < 0.75 * rate
        rate = 2 * served
        # At a first rate that is far too high, frames lie so far apart that each is searched for at length.
        if attempt > 0 and overloaded:
            break
    print(f"now {rate:.2f} frames/s for {args.seconds:.0f} s", flush=True)
    states, ages, _, summary = fly(args, recording, rate, args.seconds)
    flown_s = states[-1][0] if states else 0.0
    if flown_s < args.seconds - 10:
        print(f"skyfix ended after {flown_s:.0f} of {args.seconds:.0f} s; see {args.out / 'endurance/stderr'}. What there is:")
    if flown_s < 60:
        raise SystemExit("too short to tell anything")
    warm_up = min(300.0, flown_s / 2)
    states = [s for s in states if s[0] >= warm_up]
    ages = [a for a in ages if a[0] >= warm_up]
    third = (flown_s - warm_up) / 3
    first, last = (lambda rows: [r for r in rows if r[0] < warm_up + third]), (lambda rows: [r for r in rows if r[0] >= warm_up + 2 * third])
    growth_mb = slope([(t, memory) for t, memory, _, _ in states]) * 3600 / 1e6
    p99 = [percentile([age for _, age in rows(ages)], 0.99) for rows in (first, last)]
    most = {what: [max(s[i] for s in rows(states)) for rows in (first, last)] for what, i in (("threads", 2), ("descriptors", 3))}
    intake = summary["intake"]
    print(f"{intake['received']} frames came, {intake['served']} served, {intake['dropped']} dropped; {summary['fixes']} fixes; {len(ages)} points after the first {warm_up:.0f} s")
    middle = percentile([s[1] for s in states], 0.5) / 1e6
    checks = [
        (f"flown for {flown_s:.0f} s", flown_s >= args.seconds - 10),
        (f"anonymous memory {middle:.0f} MB, grows by {growth_mb:+.2f} MB an hour", growth_mb <= MOST_MEMORY_MB_AN_HOUR),
        (f"age of the points when written, P99: {p99[0] * 1e3:.0f} ms in the first third, {p99[1] * 1e3:.0f} ms in the last", p99[1] <= MOST_AGE_RATIO * p99[0]),
        *((f"{what}: at most {a} in the first third, {b} in the last", b <= a) for what, (a, b) in most.items()),
        ("frames that came = served + dropped", intake["received"] == intake["served"] + intake["dropped"]),
        ("more came than was served", intake["dropped"] > 0),
    ]
    for text, holds in checks:
        print(f"{'holds ' if holds else 'MISSED'} {text}")
    return all(holds for _, holds in checks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", type=pathlib.Path)
    parser.add_argument("--endurance", action="store_true", help="whether it lasts; of a recording with photos, the bundled one where none is given")
    parser.add_argument("--skyfix", default="target/release/skyfix")
    parser.add_argument("--map", type=pathlib.Path, help="the map, when it is not the recording's")
    parser.add_argument("--seconds", type=float, help="how long at most: 75, or 3600 of --endurance")
    parser.add_argument("--warm-up", type=int, default=10, help="seconds that do not count")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/live"))
    args = parser.parse_args()
    args.seconds = args.seconds or (3600 if args.endurance else 75)
    if args.endurance:
        recordings = args.recordings or [pathlib.Path(__file__).parent.parent / "recordings/demo"]
        return 0 if all([endurance(args, recording) for recording in recordings]) else 1
    if not args.recordings:
        parser.error("give a recording with a video, or --endurance")
    adds_up = [run(args, recording, name, rate) for recording in args.recordings for name, rate in [("one a second", 1.0), ("all", 1000.0)]]
    return 0 if all(adds_up) else 1


if __name__ == "__main__":
    sys.exit(main())
