//! What a recording keeps of a configuration, and a replay takes from there.

use crate::config::{ConfigBuilder, Door, FlightPlan, Origin};

const FLIGHT: &str = "[camera]\nwidth_px = 64\nheight_px = 48\nfx_px = 50.0\n";

fn builder() -> ConfigBuilder {
    ConfigBuilder::new(Door::CommandLine(&[]))
}

#[test]
fn a_recording_keeps_what_decides_its_fixes_and_nothing_of_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("area.mbtiles");
    std::fs::write(&map, "").unwrap();
    let text = "[source]\nkind = 'test'\n[source.camera]\nhfov_deg = 60.0\n[telemetry]\nheight = '120±6'\nwait_s = 0.2\n\
                mavlink = '14999'\n[match]\nworkers = 3\nlag = 2\nfix.min_inliers = 30\n[map]\npath = 'area.mbtiles'\n[sinks]\nout = 'o'\n\
                [filter.start]\nlat_deg = 47.0\nlon_deg = 8.0\nsigma_m = 9.0\n";
    let effective = builder().text(text, &folder.path().join("p.toml")).unwrap().finish().unwrap();
    let told = FlightPlan::of(&effective).unwrap().told;
    let wanted = "telemetry.height = '120±6'\nmatch.lag = 2\nmatch.fix.min_inliers = 30\n";
    assert_eq!(told.settings, toml::from_str(wanted).unwrap());
    assert_eq!(told.map.unwrap(), map.canonicalize().unwrap());
    assert_eq!(told.start.unwrap().sigma_m, 9.0);
}

#[test]
fn a_replay_is_told_what_its_recording_was_unless_somebody_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flight.toml");
    std::fs::write(&path, format!("{FLIGHT}[settings]\ntelemetry.height = '120±6'\nmatch.lag = 2\n")).unwrap();
    let replay = |more: &[&str]| {
        let named = format!("source.path={}", folder.path().display());
        let all = ["source.kind=recording", &named].into_iter().chain(more.iter().copied());
        all.fold(builder(), |b, set| b.set(set).unwrap()).finish()
    };
    let told = replay(&["match.lag=7"]).unwrap();
    assert_eq!((told.config.telemetry.height.to_string().as_str(), told.config.r#match.lag), ("120±6", 7));
    assert_eq!(told.origin("telemetry.height"), &Origin::File(path.clone()));
    for (wrong, why) in
        [("sinks.out = 'x'", "does not say that"), ("match.lagg = 1", "no key"), ("match.lag = 900", "give 1 to 64")]
    {
        std::fs::write(&path, format!("{FLIGHT}[settings]\n{wrong}\n")).unwrap();
        let error = replay(&[]).unwrap_err().to_string();
        assert!(error.contains("flight.toml") && error.contains(why), "{error}");
    }
}
