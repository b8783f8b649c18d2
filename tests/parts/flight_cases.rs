//! Photos and videos as people bring them, through the command: in the right place, or with the true reason and what to do.

use std::path::Path;

use exif::Tag;

use crate::bundled::{map, root};
use crate::metadata::{ratio, text, with_metadata, xmp};
use crate::photos::{Shot, gnss, jpeg_of, mini2, short, shots, write};

/// What a run said, and where it put each frame: the distance from the truth, metres, or the reason why there is none.
struct Ran {
    code: Option<i32>,
    told: String,
    frames: Vec<(String, Result<f64, String>)>,
    summary: serde_json::Value,
}

fn replay(source: &Path, arguments: &[&str], truth: &[Shot]) -> Ran {
    replay_on(source, &map(), arguments, truth)
}

fn replay_on(source: &Path, map: &str, arguments: &[&str], truth: &[Shot]) -> Ran {
    let out = tempfile::tempdir().unwrap();
    let mut command = crate::bundled::command();
    command.arg("replay").arg(source).args(["--map", map, "--no-viewer", "-w", "2", "--out"]);
    let output = command.arg(out.path()).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("panicked"), "{told}");
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap_or_default();
    let fixes = read("fixes.csv");
    let columns: Vec<&str> = fixes.lines().next().unwrap_or_default().split(',').collect();
    let frames = fixes.lines().skip(1).enumerate().map(|(i, line)| {
        let row: Vec<&str> = line.split(',').collect();
        let value = |column: &str| row[columns.iter().position(|c| *c == column).unwrap()];
        let place = if value("outcome") == "fix" {
            let [lat, lon] = ["lat_deg", "lon_deg"].map(|c| value(c).parse::<f64>().unwrap());
            let north = (lat - truth[i].lat) * 111_195.0;
            Ok(north.hypot((lon - truth[i].lon) * 111_195.0 * truth[i].lat.to_radians().cos()))
        } else {
            Err(value("reason").to_owned())
        };
        (row[0].to_owned(), place)
    });
    let summary = serde_json::from_str(&read("summary.json")).unwrap_or_default();
    Ran { code: output.status.code(), told, frames: frames.collect(), summary }
}

impl Ran {
    /// At least so many frames lie where they are; none lies anywhere else.
    fn right(&self, fixes: usize, frames: usize) {
        assert_eq!(self.frames.len(), frames, "{:?}\n{}", self.frames, self.told);
        let found = self.frames.iter().filter_map(|(_, place)| place.as_ref().ok());
        assert!(found.clone().all(|m| *m < 20.0) && found.count() >= fixes, "{:?}\n{}", self.frames, self.told);
    }

    fn says(&self, parts: &[&str]) {
        parts.iter().for_each(|part| assert!(self.told.contains(part), "{part}\n{}", self.told));
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_roll_of_a_gimbal_that_looks_straight_down_turns_the_picture() {
    let (folder, shots) = (folder(), shots(2));
    for (i, s) in shots.iter().enumerate() {
        let packet = s.dji(s.heading_deg - 90.0, 90.0);
        write(folder.path(), &format!("DJI_{i}.JPG"), &with_metadata(&s.jpeg, &mini2(i), &packet));
    }
    replay(folder.path(), &[], &shots).right(2, 2);
}

#[test]
fn every_exif_orientation_is_turned_upright() {
    let (folder, shot) = (folder(), shots(1).remove(0));
    let eight: Vec<Shot> = (1..=8).flat_map(|_| shots(1)).collect();
    for exif in 1..=8u8 {
        // The stored picture is the one that the orientation makes upright.
        let undone = if exif == 6 {
            8
        } else if exif == 8 {
            6
        } else {
            exif
        };
        let mut stored = shot.image();
        stored.apply_orientation(image::metadata::Orientation::from_exif(undone).unwrap());
        let fields = [mini2(usize::from(exif)), vec![short(Tag::Orientation, u16::from(exif))]].concat();
        let airframe = format!(
            r#"d:RelativeAltitude="{}" d:FlightYawDegree="{}" d:FlightPitchDegree="1" d:FlightRollDegree="1""#,
            shot.height_m, shot.heading_deg
        );
        write(folder.path(), &format!("{exif}.jpg"), &with_metadata(&jpeg_of(&stored), &fields, &xmp(&airframe)));
    }
    let ran = replay(folder.path(), &["--no-prior"], &eight);
    ran.right(8, 8);
    ran.says(&["the picture is turned as EXIF's orientation says (6)"]);
}

#[test]
fn a_second_lens_and_a_digital_zoom_are_those_of_exif() {
    let shots = shots(4);
    let second = folder();
    for (i, s) in shots.iter().enumerate() {
        let mut fields = mini2(i);
        fields[1] = text(Tag::Model, "ZenmuseP1");
        // Frames of the bundled flight: 466 px at 640 px.
        fields[2] = ratio(Tag::FocalLength, &[35.9 * 466.0 / 640.0]);
        write(second.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, &s.dji(s.heading_deg, 0.0)));
    }
    let ran = replay(second.path(), &[], &shots);
    ran.right(4, 4);
    ran.says(&["camera contradicted, 4: ZenmuseP1: EXIF's focal length of", "not the 35 mm of the table"]);
    let zoomed = folder();
    for (i, s) in shots.iter().enumerate() {
        let fields = [mini2(i), vec![ratio(Tag::DigitalZoomRatio, &[1.2]), short(Tag::FocalLengthIn35mmFilm, 31)]].concat();
        write(zoomed.path(), &format!("{i}.jpg"), &with_metadata(&s.zoomed(1.2), &fields, &s.dji(s.heading_deg, 0.0)));
    }
    let ran = replay(zoomed.path(), &[], &shots);
    ran.right(2, 4);
    ran.says(&["digital zoom 1.20"]);
}

#[test]
fn a_camera_that_is_not_in_the_table_is_known_by_consistent_exif_only() {
    let (folder, shots) = (folder(), shots(2));
    for (i, s) in shots.iter().enumerate() {
        let mut fields = [mini2(i), vec![short(Tag::FocalLengthIn35mmFilm, 26)]].concat();
        fields[1] = text(Tag::Model, "New Camera");
        write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, &s.dji(s.heading_deg, 0.0)));
    }
    let ran = replay(folder.path(), &[], &shots);
    ran.right(2, 2);
    ran.says(&["camera model New Camera, not in the table: EXIF's 35 mm equivalent of 26 mm, good to 5 %"]);
    for (i, s) in shots.iter().enumerate() {
        let mut fields = mini2(i);
        fields[1] = text(Tag::Model, "New Camera");
        write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, &s.dji(s.heading_deg, 0.0)));
    }
    let ran = replay(folder.path(), &[], &shots);
    assert_eq!(ran.code, Some(1));
    ran.says(&["New Camera", "`skyfix cameras`", "give --hfov or --calibration"]);
    replay(folder.path(), &["--hfov", "68.96"], &shots).right(2, 2);
}

#[test]
fn litter_and_other_endings_are_what_they_hold_and_nothing_is_left_out_without_a_word() {
    let (folder, shots) = (folder(), shots(4));
    let at = |i: usize, name: &str, picture: &[u8]| {
        // After the image data, where any format may have it.
        let s = &shots[i];
        let attributes = format!(
            r#"d:CreateDate="2024-06-19T10:00:0{i}" d:RelativeAltitude="{}" d:GimbalYawDegree="{}" d:GimbalPitchDegree="-90" d:GimbalRollDegree="0""#,
            s.height_m, s.heading_deg
        );
        write(folder.path(), name, &[picture, xmp(&attributes).as_bytes()].concat());
    };
    let encoded = |s: &Shot, format| {
        let mut out = std::io::Cursor::new(Vec::new());
        s.image().resize(256, 192, image::imageops::FilterType::Lanczos3).write_to(&mut out, format).unwrap();
        out.into_inner()
    };
    at(0, "DJI_0001.JPG", &shots[0].jpeg);
    at(1, "DJI_0002.Jpg", &encoded(&shots[1], image::ImageFormat::Png));
    at(2, "DJI_0003.PNG", &shots[2].jpeg);
    at(3, "DJI_0004.tif", &encoded(&shots[3], image::ImageFormat::Tiff));
    for litter in ["._DJI_0001.JPG", "__MACOSX/._DJI_0001.JPG", "Thumbs.db", ".DS_Store"] {
        write(folder.path(), litter, b"\0\x05\x16\x07litter");
    }
    write(folder.path(), "DJI_0001.DNG", b"II*\0raw");
    write(folder.path(), "DJI_0001.JPG_original", &shots[0].jpeg);
    let ran = replay(folder.path(), &["--hfov", "68.96"], &shots);
    ran.right(4, 4);
    ran.says(&[
        "files left out, 4: what systems leave behind",
        "raw photos beside photos of the same name (DJI_0001.DNG)",
        "(DJI_0001.JPG_original)",
    ]);
    let inputs = ran.summary["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|i| i["quantity"] == "files" && i["standing"] == "left_out" && i["count"] == 4), "{inputs:?}");
    assert!(inputs.iter().any(|i| i["quantity"] == "height" && i["standing"] == "taken" && i["count"] == 4), "{inputs:?}");
}

#[test]
fn zeros_are_no_truth_and_zones_that_an_editor_wrote_change_no_order() {
    let (folder, shots) = (folder(), shots(3));
    for (i, s) in shots.iter().enumerate() {
        let place = if i < 2 { gnss(0.0, 0.0) } else { gnss(s.lat, s.lon) };
        let zone = if i == 1 { vec![text(Tag::OffsetTimeOriginal, "+08:00")] } else { Vec::new() };
        let fields = [mini2(i), place, zone].concat();
        write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, &s.dji(s.heading_deg, 0.0)));
    }
    let ran = replay(folder.path(), &[], &shots);
    ran.right(3, 3);
    let order: Vec<&str> = ran.frames.iter().map(|f| f.0.as_str()).collect();
    assert_eq!(order, ["0.jpg", "1.jpg", "2.jpg"]);
    ran.says(&["position left out, 2: GNSS tags of 0°, 0°", "only some photos state their time zone (UTC+08:00)"]);
    assert!(ran.summary["camera"]["p50_m"].as_f64().unwrap() < 20.0);
}

#[test]
fn other_makers_heights_and_attitudes_are_read() {
    let shots = shots(2);
    let made: [(&str, &str, &[&str]); 4] = [
        (
            "d:CameraYawDegree=\"{yaw}\" d:CameraPitchDegree=\"-90\" d:CameraRollDegree=\"0\" d:AboveGroundAltitude=\"{height}\"",
            "Parrot",
            &["AboveGroundAltitude, above ground", "the camera (CameraYawDegree …)"],
        ),
        (
            "d:Yaw=\"{yaw}\" d:Pitch=\"0.0\" d:Roll=\"0.0\" d:AboveGroundAltitude=\"{height}\"",
            "senseFly",
            &["the camera (Camera:Yaw …)"],
        ),
        ("d:CameraOrientationNED_Yaw=\"{yaw}\" d:RelativeAltitude=\"{height}\"", "Skydio", &["taken to look straight down"]),
        (
            "d:Yaw=\"{yaw}\" d:Pitch=\"90.0\" d:Roll=\"0.0\" d:RelativeAltitude=\"{height}\"",
            "Autel Robotics",
            &["straight down for some makers"],
        ),
    ];
    for (attributes, maker, told) in made {
        let folder = folder();
        for (i, s) in shots.iter().enumerate() {
            let mut fields = mini2(i);
            fields[0] = text(Tag::Make, maker);
            fields[1] = text(Tag::Model, "A");
            let attributes = attributes.replace("{yaw}", &s.heading_deg.to_string()).replace("{height}", &s.height_m.to_string());
            write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, &xmp(&attributes)));
        }
        let ran = replay(folder.path(), &["--hfov", "68.96"], &shots);
        ran.right(2, 2);
        ran.says(told);
    }
}

#[test]
fn photos_without_a_time_are_located_each_on_its_own_and_the_track_keeps_to_them() {
    let (folder, shots) = (folder(), shots(6));
    for (i, s) in shots.iter().enumerate() {
        write(folder.path(), &format!("frame_{i}.jpg"), &s.jpeg);
    }
    let ran = replay(folder.path(), &["--hfov", "68.96", "--height", "119±6", "--heading", "127±10"], &shots);
    ran.right(5, 6);
    ran.says(&["time missing, 6: no time is known of them"]);
    assert_eq!(ran.summary["fixes_used"], ran.summary["fixes"]);
}

#[test]
fn where_nothing_is_located_the_reason_of_most_and_what_to_do_is_said() {
    let (folder, shots) = (folder(), shots(2));
    for (i, s) in shots.iter().enumerate() {
        let fields = [mini2(i), gnss(48.9, 9.2)].concat();
        write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &fields, ""));
    }
    let ran = replay(folder.path(), &[], &shots);
    assert_eq!(ran.code, Some(3));
    ran.says(&[
        "height missing, 2:",
        "2 of 2 frames `no_height`",
        "give --height",
        "all positions of GNSS lie outside of the map",
        "it is of another place",
    ]);
    for (i, s) in shots.iter().enumerate() {
        let packet = xmp(&format!(
            r#"d:RelativeAltitude="{}" d:GimbalYawDegree="10" d:GimbalPitchDegree="0" d:GimbalRollDegree="0""#,
            s.height_m
        ));
        write(folder.path(), &format!("{i}.jpg"), &with_metadata(&s.jpeg, &mini2(i), &packet));
    }
    let ran = replay(folder.path(), &[], &shots);
    assert_eq!(ran.code, Some(3));
    ran.says(&["2 of 2 frames `bad_view`", "looks at the horizon"]);
    assert!(!ran.told.contains("another place"), "{}", ran.told);
}

#[test]
fn the_table_of_cameras_is_printed_and_a_camera_that_is_not_in_it_is_an_error() {
    let cameras = |arguments: &[&str]| crate::bundled::command().arg("cameras").args(arguments).output().unwrap();
    let all = String::from_utf8(cameras(&[]).stdout).unwrap();
    assert!(all.lines().count() > 60 && all.contains("FC7303") && all.contains("Skydio 2"), "{all}");
    let autel = String::from_utf8(cameras(&["autel"]).stdout).unwrap();
    assert!(autel.contains("XT701") && !autel.contains("FC7303"), "{autel}");
    let none = cameras(&["nobody"]);
    assert!(!none.status.success() && String::from_utf8_lossy(&none.stderr).contains("--calibration"));
}

#[test]
#[cfg(feature = "gst")]
fn logs_of_other_programs_are_refused_with_the_command_that_converts_them_and_it_works() {
    let folder = folder();
    let video = root().join("recordings/demo-video/video.mkv");
    let log = write(
        folder.path(),
        "flight.csv",
        b"time(millisecond),latitude,height_above_takeoff(feet), compass_heading(degrees)\n0,47.8,390.0,121.0\n100,47.8,391.0,122.0\n",
    );
    let ran = replay(&video, &["--hfov", "68.96", "--telemetry", &log.display().to_string()], &[]);
    assert_eq!(ran.code, Some(1));
    ran.says(&["it is a table of Airdata or Litchi", "python3 scripts/telemetry.py"]);
    let advised =
        ran.told.split('`').nth(1).unwrap().replace(" telemetry", &format!(" {}", folder.path().join("telemetry").display()));
    let done = std::process::Command::new("sh").arg("-c").arg(&advised).current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{advised}: {}", String::from_utf8_lossy(&done.stderr));
    let heights = std::fs::read_to_string(folder.path().join("telemetry/height.csv")).unwrap();
    assert!(heights.lines().nth(1).unwrap().starts_with("0,118.872,"), "{heights}");
}
