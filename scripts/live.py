#!/usr/bin/env python3
"""Measures a live flight: frames a second, latency from capture to fix, age of the newest fix, memory.

A recording with a video is sent as RTP over the loopback interface at its own pace, with its telemetry as sidecars, to `skyfix run`:
first at one frame a second, for the latency of a single frame, then every frame, more than the machine can serve.

    skyfix simulate out/flight --video 10 --duration 70
    gst-launch-1.0 filesrc location=out/flight/video.mkv ! decodebin ! videorate ! video/x-raw,framerate=20/1 ! videoconvert ! \\
        openh264enc bitrate=4000000 gop-size=20 ! h264parse ! matroskamux ! filesink location=out/fast.mkv
    mv out/fast.mkv out/flight/video.mkv
    scripts/live.py out/flight
"""

import argparse
import csv
import json
import math
import pathlib
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=pathlib.Path)
    parser.add_argument("--skyfix", default="target/release/skyfix")
    parser.add_argument("--map", type=pathlib.Path, help="the map, when it is not the recording's")
    parser.add_argument("--seconds", type=float, default=75, help="how long at most")
    parser.add_argument("--warm-up", type=int, default=10, help="seconds that do not count")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/live"))
    args = parser.parse_args()
    adds_up = [run(args, recording, name, rate) for recording in args.recordings for name, rate in [("one a second", 1.0), ("all", 1000.0)]]
    return 0 if all(adds_up) else 1


if __name__ == "__main__":
    sys.exit(main())
