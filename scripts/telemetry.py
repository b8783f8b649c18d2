#!/usr/bin/env python3
"""telemetry.py LOG FOLDER [--start SECONDS]: height.csv and heading.csv out of a flight's log, for `skyfix replay VIDEO --telemetry FOLDER`.

Reads MAVLink and ArduPilot logs (.tlog, .BIN; pip install pymavlink), PX4's (.ulg; pip install pyulog), ROS recordings (.bag, .mcap; pip install
rosbags), KLV (.klv; pip install klvdata), GPX, and the tables of Airdata, Litchi and DJI flight records (.csv). Times begin at the log's first row:
--start says how many seconds later the video began. Heights are above take-off.
"""
import argparse
import csv
import math
import pathlib
import re
import sys
import xml.etree.ElementTree as ET
from datetime import datetime

FEET = 0.3048


def mavlink(path):
    from pymavlink import mavutil
    log = mavutil.mavlink_connection(str(path))
    while (m := log.recv_match(type=["GLOBAL_POSITION_INT", "ATTITUDE", "ATT", "POS"])) is not None:
        kind, t = m.get_type(), m._timestamp
        if kind == "GLOBAL_POSITION_INT":
            yield t, m.relative_alt / 1000, None if m.hdg == 65535 else m.hdg / 100
        elif kind == "ATTITUDE":
            yield t, None, math.degrees(m.yaw)
        elif kind == "ATT":
            yield t, None, m.Yaw
        else:
            yield t, m.RelHomeAlt, None


def px4(path):
    from pyulog import ULog
    log = ULog(str(path), ["vehicle_local_position"])
    for topic in log.data_list:
        d = topic.data
        for i, t in enumerate(d["timestamp"]):
            yield t / 1e6, -float(d["z"][i]), math.degrees(float(d["heading"][i]))


def ros(path):
    from rosbags.highlevel import AnyReader
    with AnyReader([path]) as bag:
        for connection, t, raw in bag.messages():
            if connection.msgtype.endswith("/Odometry"):
                pose = bag.deserialize(raw, connection.msgtype).pose.pose
                q = pose.orientation
                # East-north-up: yaw counts from the east against the clock.
                yaw = math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))
                yield t / 1e9, pose.position.z, 90 - math.degrees(yaw)


def klv(path):
    import klvdata
    first = None
    for packet in klvdata.StreamParser(path.read_bytes()):
        row = packet.MetadataList()
        value = lambda name: next((float(v[3]) for v in row.values() if v[0] == name or v[1] == name), None)
        stamp = next((v[3] for v in row.values() if "Time Stamp" in v[0]), None)
        height = value("Sensor True Altitude")
        if stamp is None:
            continue
        if first is None and height is not None:
            print("heights of KLV are above sea level: the first is taken for the ground", file=sys.stderr)
            first = height
        t = datetime.fromisoformat(str(stamp)).timestamp()
        yield t, None if height is None else height - first, value("Platform Heading Angle")


def gpx(path):
    first = None
    for point in ET.parse(path).iter():
        if not point.tag.endswith("trkpt"):
            continue
        part = {child.tag.rsplit("}", 1)[-1]: child.text for child in point}
        if "ele" not in part or "time" not in part:
            continue
        if first is None:
            print("heights of GPX are above sea level: the first is taken for the ground; it has no headings", file=sys.stderr)
            first = float(part["ele"])
        yield datetime.fromisoformat(part["time"].strip().replace("Z", "+00:00")).timestamp(), float(part["ele"]) - first, None


def table(path):
    rows = csv.DictReader(line for line in open(path, encoding="utf-8-sig") if not line.startswith("sep="))
    names = {re.sub(r"\s", "", n.lower()): n for n in rows.fieldnames or []}
    find = lambda *parts: next((n for key, n in names.items() if any(key.startswith(p) for p in parts)), None)
    time = find("time(millisecond)", "osd.flytime[s]", "datetime(utc)", "time")
    height = find("height_above_takeoff", "osd.height[", "relativealtitude", "altitude(")
    heading = find("compass_heading", "osd.yaw[360]", "osd.yaw", "yaw", "heading")
    if time is None or height is None:
        sys.exit(f"{path}: no columns of time and of height above take-off among: {', '.join(names)}")
    feet = re.search(r"[(\[]\s*(feet|ft)", height.lower()) is not None
    for row in rows:
        try:
            at = row[time].strip()
            t = float(at) / (1000 if "milli" in time else 1) if re.fullmatch(r"[\d.]+", at) else datetime.fromisoformat(at).timestamp()
            yield t, float(row[height]) * (FEET if feet else 1), float(row[heading]) if heading and row[heading].strip() else None
        except (ValueError, AttributeError):
            continue


READERS = {".tlog": mavlink, ".rlog": mavlink, ".bin": mavlink, ".log": mavlink, ".ulg": px4, ".bag": ros, ".mcap": ros, ".klv": klv, ".gpx": gpx, ".csv": table}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("log", type=pathlib.Path)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--start", type=float, default=0.0)
    a = arguments.parse_args()
    reader = READERS.get(a.log.suffix.lower())
    if reader is None:
        sys.exit(f"{a.log}: not read; give one of {', '.join(READERS)}")
    try:
        rows = sorted(reader(a.log), key=lambda row: row[0])
    except ImportError as error:
        sys.exit(f"{a.log}: pip install {error.name}")
    if not rows:
        sys.exit(f"{a.log}: neither heights nor headings in it")
    begin = rows[0][0] + a.start
    a.folder.mkdir(parents=True, exist_ok=True)
    for name, head, column in [("height.csv", "t_ns,height_agl_m,sigma_m", 1), ("heading.csv", "t_ns,heading_deg,sigma_deg", 2)]:
        last, count = None, 0
        lines = [head]
        for row in rows:
            t = round((row[0] - begin) * 1e9)
            if row[column] is None or not math.isfinite(row[column]) or (last is not None and t <= last):
                continue
            value = row[column] % 360 if column == 2 else row[column]
            sigma = 5.0 if column == 2 else math.hypot(2.0, 0.04 * value)
            lines.append(f"{t},{value:.3f},{sigma:.2f}")
            last, count = t, count + 1
        if count:
            (a.folder / name).write_text("\n".join(lines) + "\n")
        print(f"{a.folder / name}: {count} rows" if count else f"no {name}: the log has none")


if __name__ == "__main__":
    main()
