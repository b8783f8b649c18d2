//! What becomes of a fix: used, refused, beyond the gate, or the reason to start anew where it says.

use super::reacquire::{FAR, RETURNED};
use crate::fuse::hypotheses::{Demand, Sighting};
use crate::fuse::measurement::Taken;
use crate::fuse::offers::Offers;
use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::update::Update;
use crate::types::{Fix, FusionCounters, Known};

/// What became of a fix; the numbers are squared Mahalanobis distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It was used.
    Used(f64),
    /// It was not.
    Gated(f64),
    /// It was no number, or came twice.
    Refused,
    /// It was not used, and so much speaks for its place that the filter is to start anew there.
    Restart(f64),
}

/// Offers a plausible fix to a filter that is at its stamp.
pub(super) fn accept(
    running: &mut Running,
    stamp_ns: i64,
    fix: &Fix,
    known: &Known,
    settings: &FusionSettings,
    counters: &mut FusionCounters,
) -> Verdict {
    if running.last_fix_ns.is_none() {
        running.expect(&fix.free);
    }
    let sighting = running.sighting(stamp_ns, fix, &settings.sources.visual);
    let mut hypotheses = running.hypotheses.clone();
    hypotheses.take(sighting, running.speed_error_m_s().min(settings.max_speed_m_s));
    let sure = running.confirmed && 3.0 * running.horizontal_sigma_m() < settings.sure_m;
    let acquiring = running.is_acquiring(stamp_ns, settings);
    let shunned = if acquiring {
        let demand = running.demand_of_return(&sighting, settings.restart_fixes);
        !demand.is_some_and(|demand| hypotheses.won(&demand)) || sure && hypotheses.was_ruled_out()
    } else {
        // As sigma grows, the gate comes to meet a wrong place that goes on; while the filter is sure, that is no reason to believe it.
        sure && hypotheses.goes_on(settings.restart_fixes)
    };
    match running.take_pose(stamp_ns, &fix.free, &settings.sources.visual, shunned) {
        Taken::Updated(Update::Used(nis)) => {
            running.last_fix_ns = Some(stamp_ns);
            running.frames_without_fix = 0;
            if acquiring {
                running.offers = Offers::default();
            }
            running.offers.note(true);
            follow(running, sighting, acquiring, settings.restart_fixes);
            if known.heading_rad.is_none() {
                let (heading_rad, sigma_rad) = fix.heading_rad;
                running.measure_heading(stamp_ns, heading_rad, sigma_rad, &settings.sources.heading);
            }
            counters.fixes_used += 1;
            Verdict::Used(nis)
        }
        Taken::Repeated | Taken::Updated(Update::Refused) => {
            counters.fixes_refused += 1;
            Verdict::Refused
        }
        Taken::Starting(nis) | Taken::Updated(Update::Gated(nis)) => {
            counters.fixes_gated += 1;
            running.frames_without_fix += 1;
            // What an outage has to wait for says nothing of the track.
            if !acquiring {
                running.offers.note(false);
            }
            running.hypotheses = hypotheses;
            let demand = running.demand_of_restart(acquiring, settings.restart_fixes);
            let won = match sure {
                true => running.hypotheses.lasts(&Demand { fixes: settings.restart_fixes, ..FAR }),
                false => running.hypotheses.won(&demand),
            };
            if won { Verdict::Restart(nis) } else { Verdict::Gated(nis) }
        }
    }
}

/// The filter followed a fix: that may confirm where it is, or end an outage there.
fn follow(running: &mut Running, sighting: Sighting, acquiring: bool, fixes: usize) {
    if acquiring {
        running.hypotheses.clear();
        (running.confirmed, running.confirmation) = (false, RETURNED);
    }
    if !running.confirmed {
        running.hypotheses.follow(sighting);
        running.confirmed = running.hypotheses.own_won(&Demand { fixes, ..running.confirmation });
    }
    if running.confirmed {
        running.hypotheses.clear();
    }
}
