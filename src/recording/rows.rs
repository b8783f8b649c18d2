//! Rows of a recording's tables: what a sample looks like in a file, both ways.

use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use serde::{Deserialize, Serialize};

use crate::geo::Geodetic;
use crate::types::{
    AttitudeSample, BarometerSample, Clocks, Estimate, GnssSample, HeadingSample, HeightSample, ImuSample, Known, LandedSample,
};

/// A row that stands for a sample. Rows hold degrees, to a billionth, where samples hold radians, so a sample that went through a file may
/// differ a little: [`SidecarRow::as_recorded`] is the sample that reading the file will give.
pub trait SidecarRow: Serialize + for<'de> Deserialize<'de> + Sized {
    /// The sample.
    type Sample: Copy;
    /// The row of a sample.
    fn of(sample: &Self::Sample) -> Self;
    /// Time of validity as written.
    fn stamp_ns(&self) -> i64;
    /// The sample of a row, its stamp shifted by `-shift_ns`.
    ///
    /// # Errors
    /// In words, what is wrong with the row.
    fn sample(&self, shift_ns: i64) -> Result<Self::Sample, String>;

    /// A sample as it is after it was written and read; `None` when it is none that may be written.
    fn as_recorded(sample: &Self::Sample) -> Option<Self::Sample> {
        Self::of(sample).sample(0).ok()
    }
}

/// A sample that recordings hold.
pub trait Recorded: Copy {
    /// Its row.
    type Row: SidecarRow<Sample = Self>;
}

/// An angle as it is written, degrees: to a billionth, so that a round number of degrees is one in the file, too.
fn written_deg(rad: f64) -> f64 {
    written(rad.to_degrees())
}

/// A number as it is written where only its first nine decimals mean anything.
fn written(value: f64) -> f64 {
    let rounded = (value * 1e9).round() / 1e9;
    // Not one that is too large to be rounded so, or that would be none.
    if rounded.is_finite() && rounded != 0.0 { rounded } else { value }
}

/// A row of `imu.csv`.
#[derive(Serialize, Deserialize)]
pub struct ImuRow {
    t_ns: i64,
    gyro_x_rad_s: f64,
    gyro_y_rad_s: f64,
    gyro_z_rad_s: f64,
    accel_x_m_s2: f64,
    accel_y_m_s2: f64,
    accel_z_m_s2: f64,
}

impl Recorded for ImuSample {
    type Row = ImuRow;
}

impl SidecarRow for ImuRow {
    type Sample = ImuSample;

    fn of(sample: &ImuSample) -> Self {
        let (g, a) = (sample.gyro_rad_s, sample.accel_m_s2);
        Self {
            t_ns: sample.stamp_ns,
            gyro_x_rad_s: g.x,
            gyro_y_rad_s: g.y,
            gyro_z_rad_s: g.z,
            accel_x_m_s2: a.x,
            accel_y_m_s2: a.y,
            accel_z_m_s2: a.z,
        }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<ImuSample, String> {
        let gyro_rad_s = Vector3::new(self.gyro_x_rad_s, self.gyro_y_rad_s, self.gyro_z_rad_s);
        let accel_m_s2 = Vector3::new(self.accel_x_m_s2, self.accel_y_m_s2, self.accel_z_m_s2);
        gyro_rad_s.iter().chain(accel_m_s2.iter()).try_for_each(|v| finite(*v))?;
        Ok(ImuSample { stamp_ns: self.t_ns.saturating_sub(shift_ns), gyro_rad_s, accel_m_s2 })
    }
}

/// A row of `height.csv`.
#[derive(Serialize, Deserialize)]
pub struct HeightRow {
    t_ns: i64,
    height_agl_m: f64,
    sigma_m: f64,
}

impl Recorded for HeightSample {
    type Row = HeightRow;
}

impl SidecarRow for HeightRow {
    type Sample = HeightSample;

    fn of(sample: &HeightSample) -> Self {
        Self { t_ns: sample.stamp_ns, height_agl_m: sample.height_agl_m, sigma_m: sample.sigma_m }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<HeightSample, String> {
        positive_sigma(self.sigma_m)?;
        finite(self.height_agl_m)?;
        let stamp_ns = self.t_ns.saturating_sub(shift_ns);
        Ok(HeightSample { stamp_ns, height_agl_m: self.height_agl_m, sigma_m: self.sigma_m })
    }
}

/// A row of `heading.csv`.
#[derive(Serialize, Deserialize)]
pub struct HeadingRow {
    t_ns: i64,
    heading_deg: f64,
    sigma_deg: f64,
}

impl Recorded for HeadingSample {
    type Row = HeadingRow;
}

impl SidecarRow for HeadingRow {
    type Sample = HeadingSample;

    fn of(sample: &HeadingSample) -> Self {
        let (heading_deg, sigma_deg) = (written_deg(sample.heading_rad), written_deg(sample.sigma_rad));
        Self { t_ns: sample.stamp_ns, heading_deg, sigma_deg }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<HeadingSample, String> {
        positive_sigma(self.sigma_deg)?;
        finite(self.heading_deg)?;
        let stamp_ns = self.t_ns.saturating_sub(shift_ns);
        Ok(HeadingSample { stamp_ns, heading_rad: self.heading_deg.to_radians(), sigma_rad: self.sigma_deg.to_radians() })
    }
}

/// A row of `attitude.csv`.
#[derive(Serialize, Deserialize)]
pub struct AttitudeRow {
    t_ns: i64,
    qw: f64,
    qx: f64,
    qy: f64,
    qz: f64,
    sigma_deg: f64,
}

impl Recorded for AttitudeSample {
    type Row = AttitudeRow;
}

impl SidecarRow for AttitudeRow {
    type Sample = AttitudeSample;

    fn of(sample: &AttitudeSample) -> Self {
        let [qx, qy, qz, qw] = sample.enu_from_body.coords.map(written).into();
        Self { t_ns: sample.stamp_ns, qw, qx, qy, qz, sigma_deg: written_deg(sample.sigma_rad) }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<AttitudeSample, String> {
        positive_sigma(self.sigma_deg)?;
        let q = Quaternion::new(self.qw, self.qx, self.qy, self.qz);
        if !((q.norm() - 1.0).abs() < 0.01) {
            return Err(format!("the quaternion has length {}, not 1", q.norm()));
        }
        let stamp_ns = self.t_ns.saturating_sub(shift_ns);
        let enu_from_body = UnitQuaternion::from_quaternion(q);
        Ok(AttitudeSample { stamp_ns, enu_from_body, sigma_rad: self.sigma_deg.to_radians() })
    }
}

/// A row of `barometer.csv`.
#[derive(Serialize, Deserialize)]
pub struct BarometerRow {
    t_ns: i64,
    alt_m: f64,
    sigma_m: f64,
}

impl Recorded for BarometerSample {
    type Row = BarometerRow;
}

impl SidecarRow for BarometerRow {
    type Sample = BarometerSample;

    fn of(sample: &BarometerSample) -> Self {
        Self { t_ns: sample.stamp_ns, alt_m: sample.alt_m, sigma_m: sample.sigma_m }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<BarometerSample, String> {
        positive_sigma(self.sigma_m)?;
        finite(self.alt_m)?;
        Ok(BarometerSample { stamp_ns: self.t_ns.saturating_sub(shift_ns), alt_m: self.alt_m, sigma_m: self.sigma_m })
    }
}

/// 1 sigma of a GNSS position whose row tells none, metres.
pub const GNSS_SIGMA_M: f64 = 3.0;

/// A row of `gnss.csv`; further columns are left alone.
#[derive(Serialize, Deserialize)]
pub struct GnssRow {
    t_ns: i64,
    lat_deg: f64,
    lon_deg: f64,
    sigma_m: Option<f64>,
}

impl Recorded for GnssSample {
    type Row = GnssRow;
}

impl SidecarRow for GnssRow {
    type Sample = GnssSample;

    fn of(sample: &GnssSample) -> Self {
        let GnssSample { stamp_ns, lat_deg, lon_deg, sigma_m } = *sample;
        Self { t_ns: stamp_ns, lat_deg, lon_deg, sigma_m: Some(sigma_m) }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<GnssSample, String> {
        let Self { t_ns, lat_deg, lon_deg, sigma_m } = *self;
        let sigma_m = sigma_m.unwrap_or(GNSS_SIGMA_M);
        positive_sigma(sigma_m)?;
        if !Geodetic::ground(lat_deg, lon_deg).is_valid() {
            return Err(format!("{lat_deg}, {lon_deg} is no position: latitude and longitude in degrees"));
        }
        Ok(GnssSample { stamp_ns: t_ns.saturating_sub(shift_ns), lat_deg, lon_deg, sigma_m })
    }
}

/// A row of `landed.csv`.
#[derive(Serialize, Deserialize)]
pub struct LandedRow {
    t_ns: i64,
    /// 1 on the ground, 0 in the air.
    landed: u8,
}

impl Recorded for LandedSample {
    type Row = LandedRow;
}

impl SidecarRow for LandedRow {
    type Sample = LandedSample;

    fn of(sample: &LandedSample) -> Self {
        Self { t_ns: sample.stamp_ns, landed: u8::from(sample.landed) }
    }

    fn stamp_ns(&self) -> i64 {
        self.t_ns
    }

    fn sample(&self, shift_ns: i64) -> Result<LandedSample, String> {
        if self.landed > 1 {
            return Err(format!("landed is {}; write 1 on the ground, 0 in the air", self.landed));
        }
        Ok(LandedSample { stamp_ns: self.t_ns.saturating_sub(shift_ns), landed: self.landed == 1 })
    }
}

/// A row of `frames.csv`: a frame of the video that was served, and what was known of it then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrameRow {
    /// The frame's name: its number as decoded.
    pub frame: u64,
    /// Time of capture.
    pub stamp_ns: i64,
    /// 1 when the rest of the row says what was known when the frame was served live, and frames without a row were not served; absent
    /// where the table only gives exact stamps.
    #[serde(default)]
    live: Option<u8>,
    #[serde(default)]
    height_agl_m: Option<f64>,
    #[serde(default)]
    height_sigma_m: Option<f64>,
    #[serde(default)]
    heading_deg: Option<f64>,
    #[serde(default)]
    heading_sigma_deg: Option<f64>,
    #[serde(default)]
    pitch_deg: Option<f64>,
    #[serde(default)]
    roll_deg: Option<f64>,
    #[serde(default)]
    wall_ns: Option<i64>,
    #[serde(default)]
    utc_ns: Option<i64>,
}

impl FrameRow {
    /// The row of a frame.
    pub fn of(frame: u64, stamp_ns: i64, known: &Known) -> Self {
        let attitude = known.pitch_roll_rad;
        Self {
            frame,
            stamp_ns,
            live: Some(1),
            height_agl_m: known.height_agl_m.map(|h| h.value),
            height_sigma_m: known.height_agl_m.map(|h| h.sigma),
            heading_deg: known.heading_rad.map(|h| h.value.to_degrees()),
            heading_sigma_deg: known.heading_rad.map(|h| h.sigma.to_degrees()),
            pitch_deg: attitude.map(|a| a.0.to_degrees()),
            roll_deg: attitude.map(|a| a.1.to_degrees()),
            wall_ns: None,
            utc_ns: None,
        }
    }

    /// The row with what other clocks showed.
    pub fn with_clocks(self, clocks: Clocks) -> Self {
        Self { wall_ns: clocks.wall_ns, utc_ns: clocks.utc_ns, ..self }
    }

    /// What other clocks showed; nothing in tables that do not tell.
    pub fn clocks(&self) -> Clocks {
        Clocks { utc_ns: self.utc_ns, wall_ns: self.wall_ns }
    }

    /// Whether the row says what was known.
    pub fn is_live(&self) -> bool {
        self.live == Some(1)
    }

    /// What was known.
    pub fn known(&self) -> Known {
        let estimate = |value: Option<f64>, sigma: Option<f64>| {
            value.zip(sigma).map(|(value, sigma)| Estimate { value, sigma }).filter(|e| e.value.is_finite() && e.sigma > 0.0)
        };
        let radians = |v: Option<f64>| v.map(f64::to_radians);
        Known {
            height_agl_m: estimate(self.height_agl_m, self.height_sigma_m),
            heading_rad: estimate(radians(self.heading_deg), radians(self.heading_sigma_deg)),
            pitch_roll_rad: radians(self.pitch_deg).zip(radians(self.roll_deg)),
        }
    }
}

fn positive_sigma(sigma: f64) -> Result<(), String> {
    if sigma > 0.0 && sigma.is_finite() { Ok(()) } else { Err(format!("sigma is {sigma}, but must be positive")) }
}

fn finite(value: f64) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err("a number is not finite".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through_a_file<R: SidecarRow>(sample: &R::Sample) -> R::Sample {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(R::of(sample)).unwrap();
        let bytes = writer.into_inner().unwrap();
        let row: R = csv::Reader::from_reader(&bytes[..]).deserialize().next().unwrap().unwrap();
        row.sample(0).unwrap()
    }

    #[test]
    fn a_table_of_frames_without_clocks_is_read_as_before() {
        let text = "frame,stamp_ns,live,height_agl_m,height_sigma_m,heading_deg,heading_sigma_deg,pitch_deg,roll_deg\n3,7,1,120.5,2.0,,,,\n";
        for text in [text, "frame,stamp_ns\n3,7\n"] {
            let row: FrameRow = csv::Reader::from_reader(text.as_bytes()).deserialize().next().unwrap().unwrap();
            assert_eq!((row.frame, row.stamp_ns, row.clocks()), (3, 7, Clocks::default()));
        }
    }

    #[test]
    fn a_foreign_table_of_gnss_is_read_and_what_is_no_position_is_named() {
        let read =
            |text: &str| csv::Reader::from_reader(text.as_bytes()).deserialize::<GnssRow>().next().unwrap().unwrap().sample(0);
        let foreign = read("t_ns,lat_deg,lon_deg,alt_m,vel_n_m_s\n5,44.5,-93.25,250.0,1.0\n").unwrap();
        assert_eq!(foreign, GnssSample { stamp_ns: 5, lat_deg: 44.5, lon_deg: -93.25, sigma_m: GNSS_SIGMA_M });
        assert!(read("t_ns,lat_deg,lon_deg,sigma_m\n5,94.5,-93.25,2\n").unwrap_err().contains("no position"));
        assert!(read("t_ns,lat_deg,lon_deg,sigma_m\n5,44.5,-93.25,-2\n").is_err());
        let landed = LandedRow { t_ns: 0, landed: 3 };
        assert!(landed.sample(0).unwrap_err().contains("landed is 3"));
    }

    proptest! {
        /// What a live flight with a recording works with is, to the last bit, what its replay reads.
        #[test]
        fn a_sample_as_recorded_is_the_one_that_the_file_gives(
            stamp_ns in any::<i64>(), v in prop::array::uniform6(-1e3..1e3f64), sigma in 1e-6..10.0f64,
        ) {
            let imu = ImuSample {
                stamp_ns,
                gyro_rad_s: Vector3::new(v[0], v[1], v[2]),
                accel_m_s2: Vector3::new(v[3], v[4], v[5]),
            };
            prop_assert_eq!(ImuRow::as_recorded(&imu), Some(through_a_file::<ImuRow>(&imu)));
            let height = HeightSample { stamp_ns, height_agl_m: v[0], sigma_m: sigma };
            prop_assert_eq!(HeightRow::as_recorded(&height), Some(through_a_file::<HeightRow>(&height)));
            let heading = HeadingSample { stamp_ns, heading_rad: v[1], sigma_rad: sigma };
            prop_assert_eq!(HeadingRow::as_recorded(&heading), Some(through_a_file::<HeadingRow>(&heading)));
            let enu_from_body = UnitQuaternion::from_scaled_axis(Vector3::new(v[0], v[1], v[2]));
            let attitude = AttitudeSample { stamp_ns, enu_from_body, sigma_rad: sigma };
            prop_assert_eq!(AttitudeRow::as_recorded(&attitude), Some(through_a_file::<AttitudeRow>(&attitude)));
            let barometer = BarometerSample { stamp_ns, alt_m: v[2], sigma_m: sigma };
            prop_assert_eq!(BarometerRow::as_recorded(&barometer), Some(through_a_file::<BarometerRow>(&barometer)));
            let gnss = GnssSample { stamp_ns, lat_deg: v[3] * 0.09, lon_deg: v[4] * 0.18, sigma_m: sigma };
            prop_assert_eq!(GnssRow::as_recorded(&gnss), Some(through_a_file::<GnssRow>(&gnss)));
            let landed = LandedSample { stamp_ns, landed: v[5] > 0.0 };
            prop_assert_eq!(LandedRow::as_recorded(&landed), Some(through_a_file::<LandedRow>(&landed)));
        }

        #[test]
        fn what_was_known_of_a_frame_survives_the_file(height in prop::option::of((1.0..1e3f64, 0.1..10.0f64)), heading in prop::option::of(0.0..6.2f64)) {
            let known = Known {
                height_agl_m: height.map(|(value, sigma)| Estimate { value, sigma }),
                heading_rad: heading.map(|value| Estimate { value, sigma: 0.1 }),
                pitch_roll_rad: heading.map(|v| (v / 10.0, -v / 20.0)),
            };
            let clocks = Clocks { utc_ns: heading.map(|_| 1_777_777_777_123_456_789), wall_ns: height.map(|_| 5) };
            let row = FrameRow::of(7, 9, &known).with_clocks(clocks);
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.serialize(&row).unwrap();
            let bytes = writer.into_inner().unwrap();
            let read: FrameRow = csv::Reader::from_reader(&bytes[..]).deserialize().next().unwrap().unwrap();
            prop_assert_eq!((read.known(), read.clocks()), (row.known(), clocks));
        }
    }
}
