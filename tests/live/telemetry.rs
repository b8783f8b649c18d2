//! Telemetry readers on files and sockets as users have them.

use skyfix::source::telemetry::srt;

use crate::data::data;

#[test]
fn subtitles_of_real_aircraft_of_both_generations_are_read() {
    let Some(data) = data() else { return };
    // Name, start of the first subtitle, subtitles, height and position there, focal length, f-number.
    let files = [
        ("dji_2024_focal240.srt", 50.044, 400, 118.4, (32.102_967, 35.208_747), 24.0, 1.7, Some(1.0)),
        ("dji_2026.srt", 30.027, 400, 31.0, (32.102_620, 35.209_667), 24.0, 1.8, None),
    ];
    for (name, start_s, count, height_m, (lat, lon), focal_mm, f_number, zoom) in files {
        let t = srt::read(&data.join("srt").join(name)).unwrap();
        assert_eq!(t.samples.height.len(), count, "{name}");
        let (first, position) = (t.samples.height[0], t.truth[0]);
        assert!((first.stamp_ns as f64 / 1e9 - start_s).abs() < 1e-6 && (first.height_agl_m - height_m).abs() < 1e-9, "{name}");
        assert_eq!((position.1.lat_deg, position.1.lon_deg, position.0), (lat, lon, first.stamp_ns), "{name}");
        assert_eq!(t.optics[0].1, srt::StatedOptics { equivalent_mm: Some(focal_mm), digital_zoom: zoom }, "{name}");
        assert_eq!(t.f_number, Some(f_number), "{name}");
        assert!(t.samples.height.windows(2).all(|w| w[0].stamp_ns < w[1].stamp_ns), "{name}");
        assert!(t.warnings.is_empty(), "{name}: {:?}", t.warnings);
    }
}

#[cfg(feature = "mavlink")]
mod mavlink_link {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use nalgebra::{Matrix4, Vector2};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use skyfix::fuse::{Fusion, FusionSettings, TrackOptions};
    use skyfix::geo::{EnuPlane, Geodetic, Homography};
    use skyfix::recording::reader;
    use skyfix::source::telemetry::mavlink::{MavlinkClock, MavlinkDecoder, MavlinkSettings, MavlinkStream};
    use skyfix::source::{self, Flight, KnowledgeOptions, TelemetryBuffer, TelemetryStream};
    use skyfix::time::NANOS_PER_SEC;
    use skyfix::types::{Estimate, Fix, Frame, FreePose, Known, Outcome, TelemetryBatch, TelemetrySample, TrackState};

    use crate::autopilot::Autopilot;

    /// Time between messages of a kind: 50 Hz.
    const PERIOD_NS: i64 = NANOS_PER_SEC / 50;
    /// Share of messages that are lost, that come twice, and that come late.
    const SHARE: f64 = 0.05;
    /// A frame waits for telemetry this much newer than itself.
    const LATENESS_NS: i64 = NANOS_PER_SEC / 5;
    /// The autopilot booted this long before the reader began.
    const BOOTED_NS: i64 = 100 * NANOS_PER_SEC;

    fn demo() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/demo"))
    }

    fn settings(clock: MavlinkClock) -> MavlinkSettings {
        MavlinkSettings {
            bind: ([127, 0, 0, 1], 0).into(),
            clock,
            // What the sidecars state.
            attitude_sigma_rad: 0.7f64.to_radians(),
            heading_sigma_rad: 2f64.to_radians(),
            height_sigma_m: Some(1.0),
            ..MavlinkSettings::default()
        }
    }

    /// The messages of the reader, each with the time it is sent, in the order they are sent: some twice, some late, some never.
    fn sent(telemetry: &TelemetryBatch, seed: u64, drift: f64) -> Vec<(i64, Vec<u8>)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut autopilot = Autopilot::new(telemetry);
        let end = telemetry.imu.last().unwrap().stamp_ns;
        let mut out: Vec<(i64, i64, Vec<u8>)> = Vec::new();
        for tick in 0..=end / PERIOD_NS {
            let t = tick * PERIOD_NS;
            let boot_us = ((t as f64 * (1.0 + drift)) as i64 + BOOTED_NS) / 1000;
            for message in &autopilot.messages(t, boot_us) {
                let bytes = autopilot.datagram(message);
                if rng.random::<f64>() < SHARE {
                    continue;
                }
                // Late messages let up to some ten others pass.
                let late = |rng: &mut ChaCha8Rng| 1_000_000 + (rng.random::<f64>() * 3.0 * PERIOD_NS as f64) as i64;
                let delay = if rng.random::<f64>() < SHARE { late(&mut rng) } else { 0 };
                if rng.random::<f64>() < SHARE {
                    out.push((t + late(&mut rng), out.len() as i64, bytes.clone()));
                }
                out.push((t + delay, out.len() as i64, bytes));
            }
        }
        out.sort();
        out.into_iter().map(|(t, _, bytes)| (t, bytes)).collect()
    }

    /// A fix 3 m about the truth.
    fn fix(truth: Geodetic, rng: &mut ChaCha8Rng) -> Outcome {
        let sigma_m = 3.0;
        let mut noise = || (0..12).map(|_| rng.random::<f64>() - 0.5).sum::<f64>() * sigma_m;
        let (lat, lon) = EnuPlane::at(truth).lat_lon_from_ground(noise(), noise());
        Outcome::Fix(Box::new(Fix {
            region: 0,
            camera_m: Vector2::zeros(),
            centre_m: Vector2::zeros(),
            covariance_m2: Matrix4::identity() * sigma_m * sigma_m,
            camera: Geodetic::ground(lat, lon),
            centre: Geodetic::ground(lat, lon),
            height_agl_m: (120.0, 5.0),
            heading_rad: (0.0, 0.1),
            tilt_rad: 0.0,
            ground_from_frame: Homography::identity(),
            inliers: 100,
            score: 0.5,
            free: FreePose {
                camera: Geodetic::ground(lat, lon),
                lean: Vector2::zeros(),
                covariance: Matrix4::from_diagonal(&nalgebra::Vector4::new(9.0, 9.0, 1e-3, 1e-3)),
                lean_sigma: 0.09,
                map_sigma_m: 2.5,
            },
        }))
    }

    /// The track of a flight whose telemetry comes from `telemetry`.
    fn track(
        (flight, frames): &(Flight, Vec<Frame>),
        mut telemetry: impl FnMut(usize, i64) -> (TelemetryBatch, Known),
    ) -> Vec<TrackState> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut fusion = Fusion::new(FusionSettings::default(), TrackOptions::default(), None);
        let step = |(i, frame): (usize, &Frame)| {
            let (batch, known) = telemetry(i, frame.stamp_ns);
            let outcome = fix(flight.truth.at(&frame.name, frame.stamp_ns).unwrap().camera, &mut rng);
            fusion.step(frame.stamp_ns, &batch, &known, &outcome).track.state.unwrap()
        };
        frames.iter().enumerate().map(step).collect()
    }

    fn worst_difference_m(a: &[TrackState], b: &[TrackState]) -> f64 {
        assert_eq!(a.len(), b.len());
        let apart = |(a, b): (&TrackState, &TrackState)| {
            let p = EnuPlane::at(a.position).ground_from_lat_lon(b.position.lat_deg, b.position.lon_deg);
            p.e_m.hypot(p.n_m)
        };
        a.iter().zip(b).map(apart).fold(0.0, f64::max)
    }

    fn flight() -> (Flight, Vec<Frame>) {
        let (camera, video) = (source::photos::CameraOptions::default(), source::VideoOptions::default());
        let mut flight = source::open(demo(), &KnowledgeOptions::default(), &camera, &video).unwrap();
        let frames = source::frames::collect(flight.frames.as_mut()).unwrap();
        (flight, frames)
    }

    #[test]
    fn the_track_from_a_bad_link_equals_the_sidecars_track_within_a_metre() {
        let flight = flight();
        let from_sidecars = track(&flight, |i, _| (flight.1[i].telemetry.clone(), flight.1[i].known));

        let telemetry = reader::read(demo()).unwrap().telemetry;
        let messages = sent(&telemetry, 5, 0.0);
        let mut stream = MavlinkStream::open(settings(MavlinkClock::Boot), Instant::now()).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buffer = TelemetryBuffer::new(10.0);
        let mut at = 0;
        let mut link = |stamp_ns: i64| {
            while at < messages.len() && buffer.latest_stamp_ns().is_none_or(|t| t < stamp_ns + LATENESS_NS) {
                // A few at a time, so that neither the socket nor the channel overflows on a machine that is busy.
                let end = messages.len().min(at + 60);
                messages[at..end]
                    .iter()
                    .for_each(|(_, bytes)| assert_eq!(sender.send_to(bytes, stream.address()).unwrap(), bytes.len()));
                at = end;
                let give_up = Instant::now() + Duration::from_secs(60);
                while stream.counters().datagrams < at as u64 {
                    assert!(Instant::now() < give_up, "{:?}", stream.counters());
                    std::thread::sleep(Duration::from_millis(1));
                }
                stream.drain(&mut buffer);
            }
            buffer.take(stamp_ns)
        };
        let from_link = track(&flight, |_, stamp_ns| {
            let (batch, known) = link(stamp_ns + BOOTED_NS);
            (on_clock_of_frames(batch), known)
        });

        let worst = worst_difference_m(&from_sidecars, &from_link);
        assert!(worst <= 1.0, "{worst} m");
        let (c, b, n) = (stream.counters(), buffer.counters(), messages.len() as u64);
        assert_eq!((c.dropped, c.malformed, c.ignored, c.read_errors), (0, 0, 0, 0));
        let part = |count: u64| (n / 40..n / 14).contains(&count);
        assert!(part(c.lost) && part(c.duplicates) && part(c.out_of_order), "{c:?}");
        assert_eq!((b.late, b.implausible, b.contradictory, b.overflowed), (0, skyfix::types::Refusals::default(), 0, 0));
        println!("link and sidecars differ by at most {worst:.3} m; {c:?}");
    }

    /// Stamps of the autopilot's clock put on the reader's.
    fn on_clock_of_frames(mut batch: TelemetryBatch) -> TelemetryBatch {
        batch.shift(-BOOTED_NS);
        batch
    }

    #[test]
    fn the_same_holds_when_the_autopilots_clock_has_to_be_found() {
        let flight = flight();
        let from_sidecars = track(&flight, |i, _| (flight.1[i].telemetry.clone(), flight.1[i].known));
        let telemetry = reader::read(demo()).unwrap().telemetry;
        let messages = sent(&telemetry, 6, 20e-6);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut decoder = MavlinkDecoder::new(settings(MavlinkClock::Local));
        let mut buffer = TelemetryBuffer::new(10.0);
        let mut waiting = messages.iter();
        let mut samples: Vec<TelemetrySample> = Vec::new();
        let from_link = track(&flight, |_, stamp_ns| {
            while buffer.latest_stamp_ns().is_none_or(|t| t < stamp_ns + LATENESS_NS)
                && let Some((sent_ns, bytes)) = waiting.next()
            {
                let arrival = sent_ns + 1_000_000 + (rng.random::<f64>() * 4e6) as i64;
                decoder.datagram(bytes, ([127, 0, 0, 1], 14_555).into(), arrival, &mut samples);
                samples.drain(..).for_each(|s| buffer.push(s));
            }
            let (batch, known) = buffer.take(stamp_ns);
            // The first second, in which the clock is found, has no telemetry.
            let height = known.height_agl_m.or(Some(Estimate { value: 118.0, sigma: 5.0 }));
            (batch, Known { height_agl_m: height, ..known })
        });
        assert_eq!(decoder.counters().clock_resets, 0);
        let worst = worst_difference_m(&from_sidecars[10..], &from_link[10..]);
        assert!(worst <= 1.0, "{worst} m");
        println!("link on its own clock and sidecars differ by at most {worst:.3} m");
    }

    #[test]
    fn a_port_in_use_is_an_error_that_says_so() {
        let first = MavlinkStream::open(settings(MavlinkClock::Local), Instant::now()).unwrap();
        let taken = MavlinkSettings { bind: first.address(), ..settings(MavlinkClock::Local) };
        let error = MavlinkStream::open(taken, Instant::now()).err().unwrap().to_string();
        assert!(error.contains(&first.address().to_string()) && error.contains("port"), "{error}");
    }
}

/// Runs `skyfix sync` on a reader.
fn sync(reader: &std::path::Path) -> (bool, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_skyfix")).arg("sync").arg(reader).output().unwrap();
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn sync_finds_the_whole_offset_of_a_recording_that_states_a_wrong_one() {
    use skyfix::simulate::{Settings, simulate};
    use skyfix::types::Mounting;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        seed: 21,
        mounting: Mounting::Strapdown,
        width_px: 112,
        height_px: 84,
        focal_px: 81.5,
        rays_per_px: 1,
        map_side_m: 300.0,
        map_gsd_m: 3.0,
        speed_m_s: 8.0,
        leg_m: 50.0,
        duration_s: 20.0,
        photos_per_s: 8.0,
        ..Settings::default()
    };
    simulate(&settings, folder.path(), &|_, _| {}).unwrap();
    let file = folder.path().join("flight.toml");
    let stated = std::fs::read_to_string(&file).unwrap();
    let wrong = stated.replace("telemetry_minus_video_s = 0.0", "telemetry_minus_video_s = 0.25");
    assert_ne!(stated, wrong);
    std::fs::write(&file, wrong).unwrap();
    let (success, text) = sync(folder.path());
    assert!(success, "{text}");
    let found = text
        .split("telemetry_minus_video_s = ")
        .nth(1)
        .and_then(|t| t.trim().parse::<f64>().ok())
        .unwrap_or_else(|| panic!("{text}"));
    assert!(found.abs() < 0.02, "{text}");
}

#[test]
fn sync_says_that_two_photos_a_second_are_too_sparse() {
    let (success, text) = sync(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/demo")));
    assert!(!success && text.contains("0.50 s apart") && text.contains("video"), "{text}");
}
