//! How much the frames of a flight look like their map, measured the same way on the real flight and on a simulated one.

use skyfix::geo::Enu;
use skyfix::map::{BuildOptions, MapStore, build};
use skyfix::simulate::appearance::{PosedFrame, correlation, median, nadir_attitude};

/// Focal length of the real flight's photos at their 2000 px width.
const FOCAL_PX: f64 = 1455.0;
/// Ground sampling distance at which frame and map are compared, metres.
const GSD_M: f64 = 0.6;

#[test]
fn frames_of_the_real_flight_correlate_with_their_map_where_they_belong_and_nowhere_near() {
    let Some(data) = crate::data::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mbtiles");
    let options = BuildOptions { max_zoom: Some(19), ..BuildOptions::default() };
    build(&[data.join("fengyuan/map.jpg")], &path, &options, &|_| {}).unwrap();
    let map = MapStore::open(&path).unwrap();
    let region = &map.regions()[0];
    let mut reader = csv::Reader::from_path(data.join("fengyuan/truth.csv")).unwrap();
    let (mut there, mut beside) = (Vec::new(), Vec::new());
    // Every third frame tells as much in a third of the time; all of them give 0.583.
    for row in reader.records().step_by(3) {
        let row = row.unwrap();
        if &row[12] != "yes" {
            continue;
        }
        let number = |i: usize| row[i].parse::<f64>().unwrap();
        let photo = data.join("fengyuan/photos").join(&row[0]);
        if !photo.is_file() {
            continue;
        }
        let image = image::open(photo).unwrap().into_rgb8();
        let at = region.plane.ground_from_lat_lon(number(10), number(11));
        for (offset_m, values) in [(0.0, &mut there), (30.0, &mut beside)] {
            let frame = PosedFrame {
                image: &image,
                focal_px: FOCAL_PX,
                centre_px: (f64::from(image.width()) / 2.0, f64::from(image.height()) / 2.0),
                position: Enu { e_m: at.e_m + offset_m, n_m: at.n_m, u_m: number(5) },
                enu_from_camera: nadir_attitude(number(6)),
            };
            values.extend(correlation(&map, region, &frame, GSD_M).unwrap());
        }
    }
    assert!(there.len() >= 9, "{} frames", there.len());
    let (there, beside) = (median(there).unwrap(), median(beside).unwrap());
    eprintln!("median correlation of the real flight with its map: {there:.3}, 30 m beside it: {beside:.3}");
    assert!(there > 0.15 && beside < 0.1 && there > beside + 0.1, "{there} {beside}");
}
