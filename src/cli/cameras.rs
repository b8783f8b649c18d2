//! `skyfix cameras`.

use clap::Args;
use skyfix::source::cameras::table;

const EXAMPLES: &str = "Examples:
  skyfix cameras                 all of them
  skyfix cameras autel           those whose maker, model or name has this in it
  skyfix replay photos/ --map area.mbtiles                photos of a camera of the table need no more than that
  skyfix replay flight.mp4 --map area.mbtiles --hfov 73.1 a video needs the field of view of its camera

A focal length that EXIF states beats the table's where both differ by more than rounding; a camera without one here has a lens that zooms or is
exchanged, and EXIF has to state it. A camera that is not in the table is known by EXIF's 35 mm equivalent, to 5 %, or by --hfov or --calibration.";

/// Print the table of cameras: sensor, focal length and field of view by the maker and model that EXIF states.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only cameras whose maker, model or name has this in it
    filter: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When no camera is like that.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wanted = arguments.filter.as_deref().unwrap_or_default().to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let rows: Vec<_> = table().iter().filter(|c| has(&c.maker) || has(&c.model) || has(&c.name)).collect();
    if rows.is_empty() {
        anyhow::bail!(
            "no camera of the table has '{wanted}' in it; photos of others need a 35 mm equivalent in their EXIF, --hfov or --calibration"
        );
    }
    say!("{:<10} {:<26} {:>9} {:>9} {:>7} {:>5}  name", "maker", "model", "sensor mm", "focal mm", "hfov °", "± %");
    for c in rows {
        let focal = c.focal_mm.map_or_else(|| "by EXIF".into(), |f| f.to_string());
        let hfov = c.field_of_view_rad().map_or_else(|| "-".into(), |h| format!("{:.1}", h.to_degrees()));
        let sigma = if c.sigma_percent > 0.0 { c.sigma_percent.to_string() } else { "<1".into() };
        say!("{:<10} {:<26} {:>9} {focal:>9} {hfov:>7} {sigma:>5}  {}", c.maker, c.model, c.sensor_width_mm, c.name);
    }
    Ok(())
}
