//! Every file of `pipelines/`, run by the command as a reader of it would: with stand-ins for its sender and its autopilot, and its
//! addresses, paths and map replaced by theirs.

mod cases;
mod flight;
mod made;
mod running;

/// Each file with its case, in `cases`.
macro_rules! pipelines {
    ($($file:literal => $case:ident,)*) => {
        const FILES: &[&str] = &[$($file),*];

        mod each_starts_serves_and_stops {
            $(#[test] fn $case() { crate::pipelines::cases::$case($file) })*
        }
    };
}

pipelines! {
    "gstreamer.toml" => gstreamer,
    "mpeg-ts.toml" => mpeg_ts,
    "photos.toml" => photos,
    "replay.toml" => replay,
    "rtp-h264.toml" => rtp_h264,
    "rtsp.toml" => rtsp,
    "test.toml" => test,
    "v4l2.toml" => v4l2,
    "video-sidecars.toml" => video_sidecars,
    "video-srt.toml" => video_srt,
}

#[test]
fn every_file_of_the_folder_has_a_case() {
    let folder = std::fs::read_dir(crate::bundled::root().join("pipelines")).unwrap();
    let mut there: Vec<String> = folder.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    assert_eq!(there, FILES);
}
