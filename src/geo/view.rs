//! North-up rasters in metres: the common language of rectified frames and map views.

/// A north-up raster on a plane of metres east and north.
///
/// The centre of pixel (column, row) lies at `east = west_m + (column + 0.5) · gsd`, `north = north_m − (row + 0.5) · gsd`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MetricView {
    /// Western edge, metres east of the plane's origin.
    pub west_m: f64,
    /// Northern edge, metres north of the plane's origin.
    pub north_m: f64,
    /// Ground sampling distance, metres a pixel.
    pub ground_sampling_distance_m: f64,
    /// Columns.
    pub width_px: u32,
    /// Rows.
    pub height_px: u32,
}

impl MetricView {
    /// A view around a point.
    pub fn centred(e_m: f64, n_m: f64, ground_sampling_distance_m: f64, width_px: u32, height_px: u32) -> Self {
        Self {
            west_m: e_m - f64::from(width_px) * ground_sampling_distance_m / 2.0,
            north_m: n_m + f64::from(height_px) * ground_sampling_distance_m / 2.0,
            ground_sampling_distance_m,
            width_px,
            height_px,
        }
    }

    /// Its middle part, at most so many pixels a side; less than one pixel off where the parities differ.
    pub fn middle(&self, longest_px: u32) -> Self {
        let (width_px, height_px) = (self.width_px.min(longest_px), self.height_px.min(longest_px));
        let (left, top) = ((self.width_px - width_px) / 2, (self.height_px - height_px) / 2);
        let (west_m, north_m) = self.ground_from_pixel(f64::from(left), f64::from(top));
        Self { west_m, north_m, width_px, height_px, ..*self }
    }

    /// Metres east and north of continuous pixel coordinates (a pixel's centre is at .5).
    pub fn ground_from_pixel(&self, x_px: f64, y_px: f64) -> (f64, f64) {
        (self.west_m + x_px * self.ground_sampling_distance_m, self.north_m - y_px * self.ground_sampling_distance_m)
    }

    /// The inverse of [`MetricView::ground_from_pixel`].
    pub fn pixel_from_ground(&self, e_m: f64, n_m: f64) -> (f64, f64) {
        ((e_m - self.west_m) / self.ground_sampling_distance_m, (self.north_m - n_m) / self.ground_sampling_distance_m)
    }
}
