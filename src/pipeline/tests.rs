use super::*;
use crate::sink::ViewerTarget;
use std::path::Path;

fn parse(text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, Path::new("/flights"))
}

const RTP: &str = "[source]\nkind = \"rtp\"\nlisten = \"5600\"\n";

#[test]
fn every_pipeline_of_the_repository_is_understood_and_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut kinds = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let pipeline = Pipeline::read(&path).unwrap();
        let text = explain(&pipeline);
        for line in ["source", "heading", "height", "map", "model", "results"] {
            assert!(text.lines().any(|l| l.starts_with(line)), "{}: no {line} in\n{text}", path.display());
        }
        let file: PipelineFile = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        kinds.insert(resolve::name_of(file.source.kind));
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}

#[test]
fn every_key_of_a_pipeline_of_the_repository_has_a_comment_above_it() {
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let key = |line: &str| {
            line.split_once(" = ").is_some_and(|(k, _)| k.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c)))
        };
        // The source's kind and path speak for themselves, and the three of a start belong to one comment.
        let plain = ["kind", "path", "lat_deg", "lon_deg", "sigma_m", "height"];
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| key(l)) {
            let commented = i > 0 && lines[i - 1].starts_with('#');
            assert!(commented || plain.iter().any(|p| line.starts_with(p)), "{}, line {}: {line}", path.display(), i + 1);
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("[source]\nkind = \"rtp\"\n", "listen"),
        ("[source]\nkind = \"video\"\npath = \"a.mp4\"\nlisten = \"5600\"\n", "listen does nothing"),
        ("[source]\nkind = \"video\"\npath = \"a.mp4\"\nbitrate = 3\n", "bitrate"),
        ("[source]\nkind = \"webcam\"\n", "webcam"),
        ("[source]\nkind = \"rtsp\"\nurl = \"http://a\"\n", "rtsp://"),
        ("[source]\nkind = \"recording\"\npath = \"a\"\nframe_rate = 2.0\n", "brings its own"),
        ("[source]\nkind = \"video\"\npath = \"a\"\nframe_rate = 0.0\n", "frame_rate"),
        ("[source]\nkind = \"photos\"\npath = \"a\"\n[sinks]\nrecord = \"b\"\n", "record"),
        (&format!("{RTP}[telemetry]\nheading = \"north\"\n"), "north"),
        (&format!("{RTP}[telemetry]\nheading_is_magnetic = true\n"), "date"),
        (&format!("{RTP}[telemetry]\nmavlink = \"nowhere\"\n"), "nowhere"),
        (&format!("{RTP}[sinks]\nviewer = \"tv\"\n"), "tv"),
        (&format!("{RTP}[sinks]\njsonl = [\"tcp://1.2.3.4:5\"]\n"), "tcp://"),
        (&format!("{RTP}[match]\ncoarse = \"magic\"\n"), "magic"),
        (&format!("{RTP}[match]\nworkers = 0\n"), "workers"),
        (&format!("{RTP}[filter]\nlost_sigma_m = -1.0\n"), "lost_sigma_m"),
        (&format!("{RTP}[filter.start]\nlat_deg = 95.0\nlon_deg = 1.0\nsigma_m = 5.0\n"), "95"),
        (&format!("{RTP}[source.camera]\nhfov_deg = 69.0\nmodel = \"FC7303\"\n"), "one of"),
        (&format!("{RTP}[model]\ndevice = \"tpu\"\n"), "tpu"),
    ];
    for (text, word) in cases {
        let error = parse(text).unwrap_err();
        assert!(error.contains(word), "{text}\n{error}");
    }
}

#[test]
fn listening_is_on_the_loopback_interface_unless_an_address_is_given() {
    let p = parse(&format!("{RTP}[telemetry]\nmavlink = \"14551\"\n[sinks]\nviewer = \"serve\"\n")).unwrap();
    assert!(matches!(&p.source, Source::Launch(text) if text.contains("address=127.0.0.1 port=5600")));
    assert_eq!(p.telemetry, [TelemetrySource::Mavlink("127.0.0.1:14551".parse().unwrap())]);
    assert_eq!(p.viewer, Some(ViewerTarget::Serve("127.0.0.1:9876".parse().unwrap())));
    let open = parse(&format!("{RTP}[telemetry]\nmavlink = \"0.0.0.0\"\n")).unwrap();
    assert_eq!(open.telemetry, [TelemetrySource::Mavlink("0.0.0.0:14550".parse().unwrap())]);
    assert!(explain(&open).contains("anybody"));
}

#[test]
fn credentials_are_never_shown() {
    let p = parse("[source]\nkind = \"rtsp\"\nurl = \"rtsp://me:secret@camera/1\"\n").unwrap();
    let text = explain(&p);
    assert!(text.contains("camera/1") && !text.contains("secret"), "{text}");
}

#[test]
fn paths_to_read_lie_beside_the_file_and_results_in_the_working_directory() {
    let p = parse("[source]\nkind = \"photos\"\npath = \"p\"\n[map]\npath = \"m.mbtiles\"\n[sinks]\nout = \"o\"\n").unwrap();
    assert_eq!(p.source, Source::Folder("/flights/p".into()));
    assert_eq!((p.map.unwrap(), p.out), ("/flights/m.mbtiles".into(), "o".into()));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_no_crash(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("{RTP}[telemetry]\nmavlink = '{}'\n", text.replace('\'', "")));
    }
}
