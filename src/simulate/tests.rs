use super::objects::{Object, ObjectKind, Objects};
use super::*;
use nalgebra::UnitQuaternion;
use std::collections::BTreeMap;
use trajectory::GRAVITY_M_S2;

/// A short flight with small photos over a small map.
fn small() -> Settings {
    Settings {
        duration_s: 3.0,
        photos_per_s: 1.0,
        width_px: 96,
        height_px: 72,
        focal_px: 70.0,
        map_side_m: 350.0,
        leg_m: 60.0,
        rays_per_px: 1,
        ..Settings::default()
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(k, v)| (format!("{name}/{k}"), v)));
        } else {
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

fn table(folder: &Path, name: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_path(folder.join(name)).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, settings: &Settings| {
        simulate(settings, &folder.path().join(name), &|_, _| {}).unwrap();
        files(&folder.path().join(name))
    };
    let (a, b) = (run("a", &small()), run("b", &small()));
    let names: Vec<&str> = a.keys().map(String::as_str).collect();
    for wanted in ["flight.toml", "photos/000001.jpg", "photos.csv", "imu.csv", "height.csv", "heading.csv", "truth.csv"] {
        assert!(names.contains(&wanted), "{wanted} is missing from {names:?}");
    }
    for (name, bytes) in &a {
        assert!(b[name] == *bytes, "{name} differs");
    }
    let c = run("c", &Settings { seed: 8, ..small() });
    assert!(a["photos/000001.jpg"] != c["photos/000001.jpg"] && a["imu.csv"] != c["imu.csv"]);
    // A shorter flight into the same folder leaves no photo of the longer one.
    let d = run("a", &Settings { duration_s: 2.0, ..small() });
    assert!(!d.contains_key("photos/000003.jpg") && d.contains_key("photos/000002.jpg"));
    let toml: toml::Table = toml::from_str(std::str::from_utf8(&a["flight.toml"]).unwrap()).unwrap();
    assert_eq!(toml["camera"]["mounting"].as_str(), Some("stabilised"));
}

#[test]
fn a_perfect_imu_integrates_back_to_the_trajectory() {
    let settings = Settings { imu: ImuGrade::PERFECT, ..Settings::default() };
    let flight = Flight::new(&settings, (0.0, 0.0));
    let samples = telemetry::imu(&settings, &flight, 100.0);
    let (mut q, mut v, mut p) = (flight.attitude(0.0), flight.velocity(0.0), flight.position(0.0));
    let gravity = Vector3::new(0.0, 0.0, -GRAVITY_M_S2);
    for pair in samples.windows(2) {
        let dt = crate::time::seconds_between(pair[0].stamp_ns, pair[1].stamp_ns);
        // Rounded as in the file.
        let round = |x: &Vector3<f64>, digits: f64| x.map(|c| (c * digits).round() / digits);
        let (g0, g1) = (round(&pair[0].gyro_rad_s, 1e6), round(&pair[1].gyro_rad_s, 1e6));
        let next = q * UnitQuaternion::from_scaled_axis((g0 + g1) / 2.0 * dt);
        let (a0, a1) = (q * round(&pair[0].accel_m_s2, 1e4) + gravity, next * round(&pair[1].accel_m_s2, 1e4) + gravity);
        p += v * dt + (2.0 * a0 + a1) / 6.0 * dt * dt;
        v += (a0 + a1) / 2.0 * dt;
        q = next;
    }
    let error = (p - flight.position(100.0)).norm();
    assert!(error < 0.05, "{error} m after 100 s");
    assert!(q.angle_to(&flight.attitude(100.0)) < 1e-4);
}

#[test]
fn the_true_image_centre_lies_where_the_optical_axis_meets_the_ground() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { mounting: Mounting::Strapdown, mount_tilt_deg: 0.0, map_side_m: 500.0, ..small() };
    simulate(&settings, folder.path(), &|_, _| {}).unwrap();
    let rows = table(folder.path(), "truth.csv");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let v = |i: usize| row[i].parse::<f64>().unwrap();
        let plane = EnuPlane::at(crate::geo::Geodetic::ground(v(2), v(3)));
        // Without mounting error the optical axis is the body's down axis.
        let q = UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(v(9), v(10), v(11), v(12)));
        let axis = q * Vector3::z();
        let centre = plane.ground_from_lat_lon(v(13), v(14));
        let wanted = axis * (v(5) / -axis.z);
        assert!((centre.e_m - wanted.x).hypot(centre.n_m - wanted.y) < 0.02, "{centre:?} {wanted:?}");
        assert!(centre.e_m.hypot(centre.n_m) > 3.0, "a multirotor under way leans");
    }
}

#[test]
fn a_house_appears_where_the_true_pose_projects_its_corners() {
    let settings = Settings { mount_tilt_deg: 6.0, ..Settings::default() };
    let flight = Flight::new(&settings, (0.0, 0.0));
    let (position, camera) = (flight.position(4.0), flight.camera(4.0));
    let below = sensor::ground_of_pixel(&settings, &position, &camera, 120.0, 380.0).unwrap();
    let house = Object {
        kind: ObjectKind::House,
        e: below.e_m,
        n: below.n_m,
        axis: (0.8, 0.6),
        half_length: 7.0,
        half_width: 4.5,
        eaves: 5.0,
        top: 9.0,
        hash: 3,
        present: [true, true],
    };
    let mut world = world::World::new(1, 600.0, 0.4);
    world.objects = Objects::new(vec![house], 600.0);
    let scene = WorldScene { world: Arc::new(world), look: Look::flown() };
    // The box around the pixels whose ray meets the house.
    let mut seen = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for row in 300..460 {
        for column in 40..220 {
            let (x, y) = (f64::from(column) + 0.5, f64::from(row) + 0.5);
            let g = sensor::ground_of_pixel(&settings, &position, &camera, x, y).unwrap();
            let lean = ((position.x - g.e_m) / position.z, (position.y - g.n_m) / position.z);
            if scene.hit(g.e_m, g.n_m, lean).3.is_some() {
                seen = [seen[0].min(x), seen[1].min(y), seen[2].max(x), seen[3].max(y)];
            }
        }
    }
    // The box around its projected corners: the ground, the eaves, and the ends of the ridge.
    let mut projected = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for (u, v, z) in [(1.0, 1.0, 0.0), (1.0, 1.0, 5.0), (1.0, 0.0, 9.0)]
        .into_iter()
        .flat_map(|(u, v, z)| [(u, v, z), (-u, v, z), (u, -v, z), (-u, -v, z)])
    {
        let (u, v) = (u * house.half_length, v * house.half_width);
        let corner = Vector3::new(house.e + u * 0.8 - v * 0.6, house.n + u * 0.6 + v * 0.8, z);
        let c = camera.inverse() * (corner - position);
        let (x, y) = (320.0 + settings.focal_px * c.x / c.z, 240.0 + settings.focal_px * c.y / c.z);
        projected = [projected[0].min(x), projected[1].min(y), projected[2].max(x), projected[3].max(y)];
    }
    for (a, b) in seen.iter().zip(projected) {
        // Height steps of 0.7 m, refined, and the pixel grid.
        assert!((a - b).abs() < 1.5, "{seen:?} {projected:?}");
    }
}

#[test]
fn what_cannot_be_flown_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let cases = [
        ("height_m", Settings { height_m: -5.0, ..small() }),
        ("speed_m_s", Settings { speed_m_s: 0.0, ..small() }),
        ("duration_s", Settings { duration_s: f64::NAN, ..small() }),
        ("photos_per_s", Settings { photos_per_s: 0.0, ..small() }),
        ("width_px", Settings { width_px: 0, ..small() }),
        ("crop_change", Settings { crop_change: 1.5, ..small() }),
        ("rays_per_px", Settings { rays_per_px: 3, ..small() }),
        ("distortion", Settings { distortion: [0.0, f64::INFINITY, 0.0, 0.0, 0.0], ..small() }),
    ];
    for (name, settings) in cases {
        let message = simulate(&settings, &out, &|_, _| {}).unwrap_err().to_string();
        assert!(message.starts_with(name), "{message}");
    }
    assert!(!out.exists(), "nothing is written for settings that are refused");
    std::fs::write(&out, "in the way").unwrap();
    let message = simulate(&small(), &out, &|_, _| {}).unwrap_err().to_string();
    assert!(message.contains("cannot be written"), "{message}");
}

#[test]
fn a_raster_can_be_flown_over_unless_the_flight_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = folder.path().join("world");
    simulate(&small(), &world, &|_, _| {}).unwrap();
    let raster = WorldSource::Raster(world.join("map.mbtiles"));
    let low = Settings { world: raster, height_m: 40.0, ..small() };
    let out = folder.path().join("out");
    let report = simulate(&low, &out, &|_, _| {}).unwrap();
    assert_eq!(report.photos, 3);
    let map = MapStore::open(&out.join("map.mbtiles")).unwrap();
    let row = &table(&out, "truth.csv")[0];
    let (lat, lon) = (row[2].parse().unwrap(), row[3].parse().unwrap());
    assert!(map.regions()[0].bounds.contains(lat, lon));
    let message = simulate(&Settings { height_m: 900.0, ..low }, &out, &|_, _| {}).unwrap_err().to_string();
    assert!(message.contains("leaves the imagery"), "{message}");
}

#[test]
fn distorted_pixels_are_undone_by_the_forward_model() {
    let k = [-0.12, 0.03, 0.001, -0.0015, 0.004];
    for (x, y) in [(0.0, 0.0), (0.3, -0.2), (-0.6, 0.45)] {
        let r2: f64 = x * x + y * y;
        let radial = 1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]));
        let xd = x * radial + 2.0 * k[2] * x * y + k[3] * (r2 + 2.0 * x * x);
        let yd = y * radial + k[2] * (r2 + 2.0 * y * y) + 2.0 * k[3] * x * y;
        let (u, v) = sensor::undistort(&k, xd, yd);
        assert!((u - x).abs() < 1e-6 && (v - y).abs() < 1e-6);
    }
}

#[test]
fn the_camera_does_not_see_what_the_map_shows_any_better_than_in_reality() {
    /// Median on the real flight over Fengyuan, measured by the test of `tests/appearance.rs`.
    const REAL: f64 = 0.58;
    let settings = Settings {
        width_px: 320,
        height_px: 240,
        focal_px: 233.0,
        photos_per_s: 0.1,
        map_side_m: 700.0,
        rays_per_px: 1,
        ..Settings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let report = simulate(&settings, folder.path(), &|_, _| {}).unwrap();
    let median = report.median_correlation.unwrap();
    assert!(median > 0.15 && median < REAL, "{median}");
}
