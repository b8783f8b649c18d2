"""The live cells of the fault matrix: MAVLink and viewers; see fault_matrix.py."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time

from fault_flight import PHOTOS, ROOT, Ran, inside


@contextlib.contextmanager
def viewer(kind):
    """The port of a viewer that is not there (off), takes nothing (stuck), answers nonsense (garbage) or hangs up again and again (intermittent)."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "off":
            yield server.getsockname()[1]
            return
        server.listen()
        held = []

        def serve():
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                held.append(link)
                if kind == "garbage":
                    link.sendall(random.Random(3).randbytes(4000))
                if kind == "intermittent":
                    time.sleep(0.3)
                    link.close()
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def run_live(flight, kind, sinks=""):
    """Live: the photos at their pace, heading, height and attitude over MAVLink, which has the fault."""
    os.environ["MAVLINK20"] = "1"
    from pymavlink.dialects.v20 import common
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = flight.folder / "live.toml"
    file.write_text(f"""
[source]
kind = "gstreamer"
launch = 'multifilesrc location="{flight.folder}/photos/%06d.jpg" start-index=1 stop-index={PHOTOS} caps="image/jpeg,framerate=2/1" ! jpegdec ! identity sync=true'
live = true
reconnect = false
first_stamp_s = 1.0
[source.camera]
hfov_deg = 68.954
[telemetry]
mavlink = "127.0.0.1:{port}"
[map]
path = "{flight.map}"
[filter.start]
lat_deg = 47.800469
lon_deg = 10.902443
sigma_m = 200.0
[sinks]
out = "{flight.out}"
rrd = false
jsonl = ["stdout"]
{sinks}
""")
    link, sender = common.MAVLink(None, srcSystem=1, srcComponent=1), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    table = {name: {int(r[0]) / 1e9: [float(v) for v in r[1:]] for r in flight.rows(flight.folder / f"{name}.csv")[1:]} for name in ("heading", "height")}
    stamps = sorted(table["height"])
    stop = threading.Event()

    def send(begun):
        held = None
        for n, at_s in enumerate(stamps):
            # Two seconds before the first picture, for the clocks to be related.
            while not stop.is_set() and time.monotonic() - begun < at_s:
                time.sleep(0.005)
            if stop.is_set():
                return
            told = (table["height"][at_s][0], table["heading"][at_s][0])
            if inside(at_s):
                if kind == "off" or (kind == "slow" and n % 8) or (kind == "intermittent" and at_s % 1.0 < 0.5):
                    continue
                if kind == "stuck":
                    held = held or told
                    told = held
                if kind == "wrong":
                    told = (told[0] * 1.5, told[1] + 40)
                if kind == "delayed":
                    before = stamps[max(0, n - 5)]
                    told = (table["height"][before][0], table["heading"][before][0])
                if kind == "garbage":
                    sender.sendto(random.Random(n).randbytes(60), ("127.0.0.1", port))
            message = link.global_position_int_encode(int((at_s + 100) * 1000), 478000000, 109000000, 800000, int(told[0] * 1000), 0, 0, 0, int(told[1] % 360 * 100))
            sender.sendto(message.pack(link), ("127.0.0.1", port))
            link.seq = (link.seq + 1) % 256

    errors = open(flight.folder / "stderr", "w+")
    process = subprocess.Popen([flight.args.skyfix, "run", str(file)], stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
    while process.poll() is None and "Ctrl-C ends" not in (flight.folder / "stderr").read_text():
        time.sleep(0.02)
    threading.Thread(target=send, args=(time.monotonic() - 1.0,), daemon=True).start()
    try:
        code = process.wait(flight.args.timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    stop.set()
    errors.seek(0)
    return Ran(code, errors.read(), flight.out)
