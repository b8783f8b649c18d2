//! Magnetic declination: from the compass's north to the true one, by the World Magnetic Model (NOAA and BGS, editions 2020 and 2025).

use jiff::civil::Date;
use world_magnetic_model::uom::si::angle::{degree, radian};
use world_magnetic_model::uom::si::f32::{Angle, Length};
use world_magnetic_model::uom::si::length::meter;
use world_magnetic_model::{GeomagneticField, WarningZone, time as wmm_time};

use super::Geodetic;

/// The declination at a place and a date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Declination {
    /// Angle from true to magnetic north, radians, positive when the compass points east of north.
    pub angle_rad: f64,
    /// 1 sigma of the model itself, radians; the airframe's own magnetism is not in it.
    pub sigma_rad: f64,
    /// What a user should know: compasses are poor near the magnetic poles.
    pub warning: Option<&'static str>,
}

/// Why there is no declination.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeclinationError {
    /// The model does not reach to this date.
    #[error(
        "no magnetic model for {date}: it holds from {first} to {last}; give true headings, or check the date of the recording"
    )]
    Date {
        /// The date asked for.
        date: Date,
        /// First day of the model.
        first: String,
        /// Last day of the model.
        last: String,
    },
    /// No place on or near the earth.
    #[error("no magnetic model for latitude {lat_deg}, longitude {lon_deg}, height {alt_m} m")]
    Place {
        /// Latitude asked for.
        lat_deg: f64,
        /// Longitude asked for.
        lon_deg: f64,
        /// Height asked for.
        alt_m: f64,
    },
}

/// The declination at a place (height above the ellipsoid) and a date.
///
/// # Errors
/// For dates before 2020 or after 2029, and for what is no place.
pub fn declination(at: Geodetic, date: Date) -> Result<Declination, DeclinationError> {
    use world_magnetic_model::Error;
    let place = DeclinationError::Place { lat_deg: at.lat_deg, lon_deg: at.lon_deg, alt_m: at.alt_m };
    if !at.is_valid() {
        return Err(place);
    }
    let beyond = |first: String, last: String| DeclinationError::Date { date, first, last };
    let day = wmm_time::Date::from_ordinal_date(i32::from(date.year()), date.day_of_year().unsigned_abs())
        .map_err(|_| beyond("2020-01-01".into(), "2029-12-31".into()))?;
    let field = GeomagneticField::new(
        Length::new::<meter>(at.alt_m as f32),
        Angle::new::<degree>(at.lat_deg as f32),
        Angle::new::<degree>(at.lon_deg as f32),
        day,
    )
    .map_err(|error| match error {
        Error::DateOutsideOfValidityRange { min_date, max_date } => beyond(min_date.to_string(), max_date.to_string()),
        _ => place,
    })?;
    Ok(Declination {
        angle_rad: f64::from(field.declination().get::<radian>()),
        sigma_rad: f64::from(field.declination_uncertainty().get::<radian>()),
        warning: field.declination_warning().map(|zone| match zone {
            WarningZone::BlackoutZone => "a magnetic pole is so near that compasses are of no use here",
            WarningZone::CautionZone => "a magnetic pole is near; compasses are poor here",
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn declinations_are_those_of_the_published_test_values() {
        // NOAA, WMM2025_TEST_VALUES.txt (0.01° printed) and README-WMM-COEFS of WMM2020: date, height, place, declination. A day is
        // taken for the decimal year, which moves the declination by less than a thousandth of a degree here.
        let published = [
            (date(2025, 1, 1), 0.0, 80.0, 0.0, 1.28),
            (date(2025, 1, 1), 0.0, 0.0, 120.0, -0.16),
            (date(2025, 1, 1), 0.0, -80.0, -120.0, 68.78),
            (date(2025, 1, 1), 100_000.0, 80.0, 0.0, 0.85),
            (date(2027, 7, 2), 0.0, 80.0, 0.0, 2.59),
            (date(2027, 7, 2), 100_000.0, 0.0, 120.0, -0.23),
            (date(2020, 1, 1), 66_000.0, 14.0, 143.0, 0.12),
            (date(2020, 7, 2), 6_000.0, -36.0, -137.0, 20.16),
        ];
        for (day, alt_m, lat_deg, lon_deg, want) in published {
            let got = declination(Geodetic { lat_deg, lon_deg, alt_m }, day).unwrap();
            assert!((got.angle_rad.to_degrees() - want).abs() < 0.011, "{day} {lat_deg} {lon_deg}: {got:?}, not {want}");
            assert!(got.sigma_rad > 0.0);
        }
    }

    #[test]
    fn a_date_outside_of_the_model_is_refused_with_its_bounds() {
        for day in [date(2019, 12, 31), date(2030, 1, 1), date(-9000, 1, 1)] {
            let text = declination(Geodetic::ground(47.0, 8.0), day).unwrap_err().to_string();
            assert!(text.contains(&day.to_string()) && text.contains("2020-01-01") && text.contains("2029-12-31"), "{text}");
        }
        assert!(declination(Geodetic::ground(91.0, 8.0), date(2026, 1, 1)).is_err());
        assert!(declination(Geodetic { alt_m: f64::NAN, ..Geodetic::ground(1.0, 8.0) }, date(2026, 1, 1)).is_err());
    }

    #[test]
    fn near_a_magnetic_pole_there_is_a_warning() {
        assert!(declination(Geodetic::ground(85.8, 138.0), date(2026, 1, 1)).unwrap().warning.is_some());
        assert!(declination(Geodetic::ground(47.0, 8.0), date(2026, 1, 1)).unwrap().warning.is_none());
    }
}
