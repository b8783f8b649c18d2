//! Earth, local planes and map projections.
//!
//! - `attitude`: headings, pitch and roll as rotations.
//! - `wgs84`: geodetic coordinates, earth-centred coordinates and local east-north-up planes.
//! - [`mercator`]: the tile grid of Web Mercator.
//! - [`magnetic`]: the declination of the compass.
//! - `homography`: projective maps of the plane.
//! - `view`: north-up rasters in metres.

pub(crate) mod attitude;
pub(crate) mod homography;
pub mod magnetic;
#[doc(hidden)]
pub mod mercator;
pub(crate) mod view;
pub(crate) mod wgs84;

pub use attitude::{enu_from_body, heading_pitch_roll, turn_between};
pub use homography::Homography;
pub use view::MetricView;
pub use wgs84::{Enu, EnuPlane, Geodetic, GeodeticBounds};
