use super::*;
use crate::config::explain::explain;
use crate::config::layers::{ConfigBuilder, Door};
use std::path::Path;

fn plan(text: &str) -> Result<FlightPlan, String> {
    let file = Path::new("/flights/flight.toml");
    let builder = ConfigBuilder::new(Door::File(file.into())).text(text, file);
    let effective = builder.and_then(ConfigBuilder::finish).map_err(|e| e.to_string())?;
    FlightPlan::of(&effective).map_err(|e| e.to_string())
}

const RTP: &str = "[source]\nkind = \"rtp\"\nlisten = \"5600\"\n";

fn pipelines() -> impl Iterator<Item = PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

#[test]
fn every_pipeline_of_the_repository_is_understood_and_explained() {
    let mut kinds = std::collections::BTreeSet::new();
    for path in pipelines() {
        let effective = ConfigBuilder::new(Door::File(path.clone())).file(&path).unwrap().finish().unwrap();
        let text = explain(&FlightPlan::of(&effective).unwrap());
        for line in ["source", "heading", "height", "map", "model", "results"] {
            assert!(text.lines().any(|l| l.starts_with(line)), "{}: no {line} in\n{text}", path.display());
        }
        kinds.insert(effective.config.source.kind.unwrap().to_string());
    }
    assert_eq!(kinds.len(), SourceKind::ALL.len(), "{kinds:?}");
}

#[test]
fn every_key_of_a_pipeline_of_the_repository_has_a_comment_above_it() {
    for path in pipelines() {
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
fn what_is_wrong_is_named_as_it_was_written() {
    let cases = [
        ("[source]\n", "[source] kind"),
        ("[source]\nkind = \"rtp\"\n", "[source] listen"),
        ("[source]\nkind = \"video\"\npath = \"a.mp4\"\nlisten = \"5600\"\n", "[source] listen does nothing"),
        ("[source]\nkind = \"video\"\npath = \"a.mp4\"\nbitrate = 3\n", "bitrate"),
        ("[source]\nkind = \"video\"\npath = \"a.mp4\"\nframe_rat = 3\n", "is [source] frame_rate meant?"),
        ("[source]\nkind = \"webcam\"\n", "webcam"),
        ("[source]\nkind = \"rtsp\"\nurl = \"http://a\"\n", "rtsp://"),
        ("[source]\nkind = \"recording\"\npath = \"a\"\n[source.camera]\nhfov_deg = 69.0\n", "brings its own camera"),
        ("[source]\nkind = \"recording\"\npath = \"a\"\n[telemetry]\nsidecars = \"b\"\n", "bring their own telemetry"),
        ("[source]\nkind = \"video\"\npath = \"a\"\nframe_rate = 0.0\n", "frame_rate"),
        ("[source]\nkind = \"photos\"\npath = \"a\"\n[sinks]\nrecord = \"b\"\n", "record"),
        ("[source]\nkind = \"photos\"\npath = \"a\"\n[filter]\nsmoother_lag_s = 3.0\n", "smoothed as a whole"),
        (&format!("{RTP}[telemetry]\nheading = \"north\"\n"), "north"),
        (&format!("{RTP}[telemetry]\nheading_is_magnetic = true\n"), "[telemetry] date"),
        (&format!("{RTP}[telemetry]\ndate = \"2026-05-01\"\n"), "[telemetry] heading_is_magnetic"),
        (&format!("{RTP}[telemetry]\nmavlink = \"nowhere\"\n"), "nowhere"),
        (&format!("{RTP}[telemetry]\ntakeoff_deg = [91.0, 3.0]\n"), "91, 3"),
        (&format!("{RTP}[sinks]\nviewer = \"tv\"\n"), "tv"),
        (&format!("{RTP}[sinks]\nviewer_address = \"9876\"\n"), "[sinks] viewer"),
        (&format!("{RTP}[sinks]\njsonl = [\"tcp://1.2.3.4:5\"]\n"), "tcp://"),
        (&format!("{RTP}[match]\ncoarse = \"magic\"\n"), "magic"),
        (&format!("{RTP}[match]\nworkers = 0\n"), "[match] workers = 0: give 1 to 64"),
        (&format!("{RTP}[match]\nlag = 65\n"), "[match] lag = 65: give 1 to 64"),
        (&format!("{RTP}[match.fix]\nmin_support = 2.0\n"), "[match.fix] min_support"),
        (&format!("{RTP}[filter]\nlost_sigma_m = -1.0\n"), "lost_sigma_m"),
        (&format!("{RTP}[filter.start]\nlat_deg = 95.0\nlon_deg = 1.0\nsigma_m = 5.0\n"), "95"),
        (&format!("{RTP}[filter.start]\nlat_deg = 45.0\nlon_deg = 1.0\n"), "[filter.start] sigma_m"),
        (&format!("{RTP}[source.camera]\nhfov_deg = 69.0\nmodel = \"FC7303\"\n"), "one of"),
        (&format!("{RTP}[source.camera]\nhfov_deg = 170.0\n"), "less than 170"),
        (&format!("{RTP}[model]\ndevice = \"tpu\"\n"), "tpu"),
    ];
    for (text, word) in cases {
        let error = plan(text).unwrap_err();
        assert!(error.contains(word) && error.contains("/flights/flight.toml"), "{text}\n{error}");
        assert!(!error.contains("--"), "a file has no flags: {error}");
    }
}

#[test]
fn listening_is_on_the_loopback_interface_unless_an_address_is_given() {
    let p = plan(&format!("{RTP}[telemetry]\nmavlink = \"14551\"\n[sinks]\nviewer = \"serve\"\n")).unwrap();
    assert!(matches!(&p.source, Source::Launch(text) if text.contains("address=127.0.0.1 port=5600")));
    let bind = |p: &FlightPlan| match p.telemetry[..] {
        [TelemetrySource::Mavlink(link)] => link.bind.to_string(),
        _ => panic!("{:?}", p.telemetry),
    };
    assert_eq!(bind(&p), "127.0.0.1:14551");
    assert_eq!(p.outputs.viewer, Some(ViewerTarget::Serve("127.0.0.1:9876".parse().unwrap())));
    let open = plan(&format!("{RTP}[telemetry]\nmavlink = \"0.0.0.0\"\n")).unwrap();
    assert_eq!(bind(&open), "0.0.0.0:14550");
    assert!(explain(&open).contains("anybody"));
}

#[test]
fn credentials_are_never_shown() {
    let text = "[source]\nkind = \"rtsp\"\nurl = \"rtsp://me:secret@camera/1\"\n";
    let words = explain(&plan(text).unwrap());
    assert!(words.contains("camera/1") && !words.contains("secret"), "{words}");
    let error = plan(&text.replace("rtsp://me", "http://me")).unwrap_err();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn paths_to_read_lie_beside_the_file_and_results_in_the_working_directory() {
    let p = plan("[source]\nkind = \"photos\"\npath = \"p\"\n[map]\npath = \"m.mbtiles\"\n[match]\nconsensus = \"bundled\"\n[sinks]\nout = \"o\"\n")
        .unwrap();
    assert_eq!(p.source, Source::Folder("/flights/p".into()));
    assert_eq!((p.map.unwrap(), p.outputs.folder), ("/flights/m.mbtiles".into(), "o".into()));
    assert_eq!(p.consensus.unwrap(), PathBuf::from("bundled"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_no_crash(text in "\\PC{0,200}") {
        let _ = plan(&text);
        let _ = plan(&format!("{RTP}[telemetry]\nmavlink = '{}'\n", text.replace('\'', "")));
        let door = Door::CommandLine(&[]);
        let _ = door.spell(&text);
        let _ = ConfigBuilder::new(door).set(&text);
    }
}
