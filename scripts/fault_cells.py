"""What is expected of each cell of the fault matrix, written down before it is flown; see fault_matrix.py."""

KINDS = ["off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent"]


class Cell:
    """What is expected: `sources` of the track during the fault, its largest error, seconds to return, `counter` as a path in summary.json that must
    not be zero, words on standard error or in summary.json, the exit status."""

    def __init__(self, sources="visual", error_m=30.0, back_s=1.0, counter=None, says=None, code=0):
        self.sources, self.error_m, self.back_s, self.counter, self.says, self.code = set(sources.split()), error_m, back_s, counter, says, code

    def told(self):
        """In words."""
        if self.code == 1:
            return f"exit 1, names it: \"{self.says}\""
        parts = ["/".join(sorted(self.sources)), f"≤ {self.error_m:.0f} m", f"back ≤ {self.back_s:.0f} s"]
        parts += [f"`{self.counter}`"] if self.counter else []
        parts += [f"\"{self.says}\""] if self.says else []
        parts += [f"exit {self.code}"] if self.code else []
        return ", ".join(parts)


def na(why):
    return why


READ_AT_START = na("read once, at the start")
# Nothing is known of the position beyond these words in a flight that loses its frames.
BLIND = "visual inertial"
CELLS = {
    "photos": {
        "off": Cell(BLIND, 60),
        "stuck": Cell(BLIND, 60, counter="abstained.repeated"),
        "garbage": Cell(BLIND, 60, counter="abstained.unreadable"),
        "wrong": Cell(BLIND, 60, counter="abstained"),
        "slow": Cell("visual"),
        "delayed": Cell("visual", 40),
        "intermittent": Cell("visual"),
    },
    "video": {
        "off": Cell(says="ends", code=0),
        "stuck": na("a frozen camera is `photos` × stuck"),
        # One picture is made up by the decoder, nine are missing.
        "garbage": Cell(says="missing from the file", counter="video.missing"),
        "wrong": na("pictures of elsewhere are `photos` × wrong"),
        "slow": Cell("visual"),
        "delayed": na("stamps that are off are `photos` × delayed"),
        "intermittent": na("live streams that break off: tests/flight/live.rs"),
    },
    "imu": {
        "off": Cell(counter="telemetry.silences.imu"),
        "stuck": Cell(error_m=50, back_s=3),
        "garbage": Cell(counter="intake.telemetry_refused.imu"),
        "wrong": Cell(error_m=50, back_s=3),
        "slow": Cell(error_m=50, back_s=3),
        "delayed": Cell(error_m=50, back_s=3),
        "intermittent": Cell(error_m=40),
    },
    "height": {
        "off": Cell(counter="telemetry.silences.height"),
        "stuck": Cell(),
        "garbage": Cell(counter="intake.telemetry_refused.height"),
        "wrong": Cell(BLIND, 60, 3),
        "slow": Cell(),
        "delayed": Cell(),
        "intermittent": Cell(),
    },
    "heading": {
        "off": Cell(),
        "stuck": Cell(BLIND, 60, 3),
        "garbage": Cell(counter="intake.telemetry_refused.heading"),
        "wrong": Cell(BLIND, 60, 3),
        "slow": Cell(),
        "delayed": Cell(BLIND, 40),
        "intermittent": Cell(),
    },
    "attitude": {
        "off": Cell(counter="telemetry.silences.attitude"),
        "stuck": Cell(),
        "garbage": Cell(says="attitude.csv", code=1),
        "wrong": Cell(error_m=50, back_s=3),
        "slow": Cell(),
        "delayed": Cell(),
        "intermittent": Cell(),
    },
    "gnss": {
        "off": Cell(counter="telemetry.silences.gnss"),
        "stuck": Cell(back_s=3),
        "garbage": Cell(says="gnss.csv", code=1),
        "wrong": Cell(back_s=3, counter="sources.gnss.gated"),
        "slow": Cell(),
        "delayed": Cell(),
        "intermittent": Cell(),
    },
    "map": {
        "off": Cell(says="map.mbtiles", code=1),
        "stuck": READ_AT_START,
        "garbage": Cell(says="map.mbtiles", code=1),
        "wrong": Cell("lost", counter="abstained", code=3),
        "slow": READ_AT_START,
        "delayed": READ_AT_START,
        "intermittent": READ_AT_START,
    },
    "index": {
        "off": Cell(says="no index yet"),
        "stuck": READ_AT_START,
        "garbage": Cell(says="skyfix map index", code=1),
        "wrong": Cell(says="skyfix map index", code=1),
        "slow": READ_AT_START,
        "delayed": READ_AT_START,
        "intermittent": READ_AT_START,
    },
    "model": {
        "off": Cell(says="manifest.toml", code=1),
        "stuck": READ_AT_START,
        "garbage": Cell(says="checksum", code=1),
        "wrong": Cell(says="checksum", code=1),
        "slow": READ_AT_START,
        "delayed": READ_AT_START,
        "intermittent": READ_AT_START,
    },
    "disk": {
        "off": Cell(counter="outputs_closed", says="fixes.csv", code=4),
        "stuck": Cell(counter="outputs_closed", says="sinks.timeout_s", code=4),
        "garbage": na("what is read back is checked where it is read"),
        "wrong": Cell(says="cannot make the output folder", code=1),
        "slow": Cell(),
        "delayed": na("as slow"),
        "intermittent": Cell(counter="outputs_closed", says="No space", code=4),
    },
    "stdout": {
        "off": Cell(),
        "stuck": Cell(counter="outputs_closed", says="standard output", code=4),
        "garbage": na("nothing is read from it"),
        "wrong": na("nothing is read from it"),
        "slow": Cell(),
        "delayed": na("as slow"),
        "intermittent": na("as slow"),
    },
    "viewer": {
        "off": Cell(error_m=40, back_s=3, counter="outputs_closed", says="viewer", code=4),
        "stuck": Cell(error_m=40, back_s=3, counter="outputs_closed", says="viewer", code=4),
        "garbage": Cell(error_m=40, back_s=3, counter="outputs_closed", says="viewer", code=4),
        "wrong": na("as garbage"),
        "slow": na("tests of `src/sink/background.rs`: pictures are left out, then reports"),
        "delayed": na("as off"),
        "intermittent": Cell(error_m=40, back_s=3, counter="outputs_closed", says="viewer", code=4),
    },
    "mavlink": {
        "off": Cell("visual", 40, 3, counter="telemetry.silences.height"),
        "stuck": Cell("visual", 60, 3),
        "garbage": Cell("visual", 40, 3, counter="telemetry.link.malformed"),
        "wrong": Cell(BLIND, 60, 3),
        "slow": Cell("visual", 40, 3),
        "delayed": Cell(BLIND, 60, 3),
        "intermittent": Cell("visual", 40, 3),
    },
}
