//! Files as cameras write them, made from the bundled flight.

use std::path::{Path, PathBuf};

use exif::Tag;
use gstreamer as gst;
use gstreamer::prelude::*;
use skyfix::recording::reader;
use skyfix::source::TelemetryBuffer;
use skyfix::types::Known;

use crate::bundled::{recording, root};
use crate::metadata::{text, with_metadata, xmp};

/// What the flight's sensors said at a time.
fn known_at(recording: &Path) -> impl Fn(i64) -> (f64, f64) {
    let buffer = TelemetryBuffer::of_recording(&reader::read(recording).unwrap().telemetry, skyfix::types::Plausible::default());
    move |stamp_ns| {
        let Known { height_agl_m, heading_rad, .. } = buffer.known_at(stamp_ns);
        (height_agl_m.unwrap().value, heading_rad.unwrap().value.to_degrees().rem_euclid(360.0))
    }
}

/// The flight's first photos, which come half a second after each other, with EXIF and XMP as DJI writes them.
pub fn photos(folder: &Path, count: i64) {
    let known_at = known_at(recording());
    for i in 0..count {
        let name = format!("{:06}.jpg", i + 1);
        let jpeg = std::fs::read(recording().join("photos").join(&name)).unwrap();
        let stamp_ns = 1_000_000_000 + 500_000_000 * i;
        let (height_m, heading_deg) = known_at(stamp_ns);
        let fields = [
            text(Tag::DateTimeOriginal, &format!("2026:05:01 10:00:{:02}", stamp_ns / 1_000_000_000)),
            text(Tag::SubSecTimeOriginal, &format!("{:03}", stamp_ns / 1_000_000 % 1000)),
        ];
        let packet = xmp(&format!(
            "d:RelativeAltitude=\"{height_m:+.2}\" d:GimbalYawDegree=\"{heading_deg:+.2}\" d:GimbalPitchDegree=\"-90.00\" \
             d:GimbalRollDegree=\"+0.00\""
        ));
        std::fs::write(folder.join(name), with_metadata(&jpeg, &fields, &packet)).unwrap();
    }
}

/// The first frames of the flight's video, five a second, as an MP4 file, and its subtitles.
pub fn dji_video(folder: &Path, frames: i64) -> (PathBuf, PathBuf) {
    let (video, subtitles) = (folder.join("DJI_0001.MP4"), folder.join("DJI_0001.SRT"));
    let from = root().join("recordings/demo-video");
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&format!(
        "filesrc location=\"{}\" ! matroskademux ! h264parse ! identity eos-after={frames} ! mp4mux ! filesink location=\"{}\"",
        from.join("video.mkv").display(),
        video.display()
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(120), &wanted).unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");

    let known_at = known_at(&from);
    let time = |frame: i64| format!("00:00:{:02},{:03}", frame / 5, frame % 5 * 200);
    let cue = |frame: i64| {
        // The recording's first frame is at one second, the file's at zero.
        let (height_m, heading_deg) = known_at(1_000_000_000 + 200_000_000 * frame);
        format!(
            "{}\n{} --> {}\n<font size=\"28\">FrameCnt: {}, DiffTime: 200ms\n2026-05-01 10:00:00.000\n[iso: 100] [fnum: 1.8] \
             [focal_len: 24.00] [rel_alt: {height_m:.3} abs_alt: {:.3}] [gb_yaw: {heading_deg:.1} gb_pitch: -90.0 gb_roll: 0.0] \
             </font>\n\n",
            frame + 1,
            time(frame),
            time(frame + 1),
            frame + 1,
            height_m + 600.0
        )
    };
    std::fs::write(&subtitles, (0..frames).map(cue).collect::<String>()).unwrap();
    (video, subtitles)
}
