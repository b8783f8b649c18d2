//! Sensor widths and true focal lengths of common drone cameras. EXIF rounds focal lengths, and the "35 mm equivalent" refers to
//! other crops, so neither is used for cameras of this table.

/// A camera by the model name in its EXIF.
pub struct Sensor {
    /// EXIF model.
    pub model: &'static str,
    /// Width of the part of the sensor behind a full-width photo, millimetres.
    pub width_mm: f64,
    /// Focal length, millimetres.
    pub focal_mm: f64,
}

const fn sensor(model: &'static str, width_mm: f64, focal_mm: f64) -> Sensor {
    Sensor { model, width_mm, focal_mm }
}

/// The table.
pub const SENSORS: &[Sensor] = &[
    sensor("FC203", 6.17, 4.49),     // Mavic Mini
    sensor("FC7203", 6.17, 4.49),    // Mavic Mini
    sensor("FC7303", 6.17, 4.49),    // Mini 2
    sensor("FC220", 6.17, 4.73),     // Mavic Pro
    sensor("FC330", 6.17, 3.61),     // Phantom 4
    sensor("FC300X", 6.17, 3.61),    // Phantom 3 Professional
    sensor("FC350", 6.17, 3.61),     // Inspire 1
    sensor("FC6310", 13.2, 8.8),     // Phantom 4 Pro
    sensor("FC6310S", 13.2, 8.8),    // Phantom 4 Pro V2
    sensor("FC6310R", 13.2, 8.8),    // Phantom 4 RTK
    sensor("FC6510", 13.2, 8.8),     // Zenmuse X4S
    sensor("FC6520", 17.3, 15.0),    // Zenmuse X5S
    sensor("L1D-20c", 13.2, 10.26),  // Mavic 2 Pro
    sensor("FC2204", 6.17, 4.386),   // Mavic 2 Zoom, wide end
    sensor("FC3170", 6.4, 4.5),      // Mavic Air 2
    sensor("FC3411", 13.2, 8.38),    // Air 2S
    sensor("FC3582", 9.6, 6.72),     // Mini 3 Pro
    sensor("FC8482", 9.6, 6.72),     // Mini 4 Pro
    sensor("L2D-20c", 17.3, 12.29),  // Mavic 3
    sensor("M3E", 17.3, 12.29),      // Mavic 3 Enterprise
    sensor("ZenmuseP1", 35.9, 35.0), // Zenmuse P1 with the 35 mm lens
];

/// The sensor of a model.
pub fn find(model: &str) -> Option<&'static Sensor> {
    SENSORS.iter().find(|s| s.model.eq_ignore_ascii_case(model.trim()))
}
