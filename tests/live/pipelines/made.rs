//! Files as cameras write them, made from the bundled flight.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value};
use gstreamer as gst;
use gstreamer::prelude::*;
use skyfix::recording::reader;
use skyfix::source::TelemetryBuffer;
use skyfix::types::Known;

use crate::bundled::{recording, root};

/// What the flight's sensors said at a time.
fn known_at(recording: &Path) -> impl Fn(i64) -> (f64, f64) {
    let buffer = TelemetryBuffer::of_recording(&reader::read(recording).unwrap().telemetry, skyfix::types::Plausible::default());
    move |stamp_ns| {
        let Known { height_agl_m, heading_rad, .. } = buffer.known_at(stamp_ns);
        (height_agl_m.unwrap().value, heading_rad.unwrap().value.to_degrees().rem_euclid(360.0))
    }
}

/// A segment of a JPEG file.
fn app1(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, 0xe1][..], &length[..], content].concat()
}

/// The flight's first photos, which come half a second after each other, with EXIF and XMP as DJI writes them.
pub fn photos(folder: &Path, count: i64) {
    let known_at = known_at(recording());
    for i in 0..count {
        let name = format!("{:06}.jpg", i + 1);
        let jpeg = std::fs::read(recording().join("photos").join(&name)).unwrap();
        let stamp_ns = 1_000_000_000 + 500_000_000 * i;
        let (height_m, heading_deg) = known_at(stamp_ns);
        let ascii = |tag: Tag, text: String| Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.into_bytes()]) };
        let fields = [
            ascii(Tag::DateTimeOriginal, format!("2026:05:01 10:00:{:02}", stamp_ns / 1_000_000_000)),
            ascii(Tag::SubSecTimeOriginal, format!("{:03}", stamp_ns / 1_000_000 % 1000)),
        ];
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, false).unwrap();
        let exif = [&b"Exif\0\0"[..], tiff.get_ref().as_slice()].concat();
        let xmp = format!(
            "http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF \
             xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description \
             xmlns:drone-dji=\"http://www.dji.com/drone-dji/1.0/\" drone-dji:RelativeAltitude=\"{height_m:+.2}\" \
             drone-dji:GimbalYawDegree=\"{heading_deg:+.2}\" drone-dji:GimbalPitchDegree=\"-90.00\" \
             drone-dji:GimbalRollDegree=\"+0.00\"/></rdf:RDF></x:xmpmeta>"
        );
        let (start, rest) = jpeg.split_at(2);
        std::fs::write(folder.join(name), [start, &app1(&exif), &app1(xmp.as_bytes()), rest].concat()).unwrap();
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
