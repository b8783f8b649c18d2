//! From the clock of an autopilot (time since its boot) to the local monotonic clock.

use std::collections::VecDeque;

use crate::time::NANOS_PER_SEC;

/// Observations older than this are forgotten: at 20 ppm two clocks drift apart by 0.2 ms in it.
const WINDOW_NS: i64 = 10 * NANOS_PER_SEC;
/// The window is kept as the best observation of each of these slots, which bounds it.
const SLOT_NS: i64 = NANOS_PER_SEC / 4;
/// Observations before the first answer: the first messages may have waited in a queue.
const WARM_UP_NS: i64 = NANOS_PER_SEC;
/// The offset in use moves towards the estimate by at most this share of elapsed time, so that mapped times keep their order.
const SLEW: f64 = 0.02;
/// A boot time that is off the expected one by more than this is of another clock, unless it persists.
const JUMP_NS: i64 = 2 * NANOS_PER_SEC;
/// So many messages in a row that agree with each other set the clock anew.
const JUMP_MESSAGES: usize = 4;
/// Round trips longer than this say little of the offset.
const MAX_ROUND_TRIP_NS: i64 = NANOS_PER_SEC / 2;

/// The best of what was observed in a slot of time: an offset (local minus boot) and how far it may be off.
#[derive(Clone, Copy, Debug)]
struct Observation {
    local_ns: i64,
    offset_ns: i64,
    error_ns: i64,
}

/// An estimate of local time minus the autopilot's time since boot.
///
/// A message that is stamped by the autopilot and arrives at a local time says that the offset is at most arrival minus stamp, so the
/// least of these over a window is off by the shortest delay of the link. A round trip (the autopilot's time in the answer to a
/// question) says that it is the middle of question and answer minus that time, to half the round trip; where there are any in
/// the window, the shortest counts. The offset in use follows the estimate slowly enough to keep the order of messages. Boot
/// times that jump are refused, and after a few in a row that agree taken for a reboot.
#[derive(Clone, Debug, Default)]
pub struct ClockMapping {
    one_way: VecDeque<Observation>,
    round_trips: VecDeque<Observation>,
    first_local_ns: Option<i64>,
    newest_boot_ns: Option<i64>,
    /// Offset in use, and the local time it was last moved at.
    used: Option<(i64, i64)>,
    jumped: Vec<(i64, i64)>,
    resets: u64,
}

impl ClockMapping {
    /// A mapping that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a message stamped `boot_ns` that arrived at `local_ns`. False when its stamp is of another clock: the message
    /// must not be used.
    pub fn arrival(&mut self, boot_ns: i64, local_ns: i64) -> bool {
        let offset_ns = local_ns.saturating_sub(boot_ns);
        if let (Some(newest), Some(expected)) = (self.newest_boot_ns, self.estimate().map(|o| o.offset_ns)) {
            // A reboot takes the clock back; a message that waited is old, but so far behind the newest it does not come.
            let back = boot_ns < newest.saturating_sub(JUMP_NS);
            let ahead = offset_ns < expected.saturating_sub(JUMP_NS);
            if back || ahead {
                return self.jump(boot_ns, local_ns);
            }
        }
        self.jumped.clear();
        self.take(boot_ns, local_ns);
        true
    }

    /// Takes note of a question sent at `sent_ns` that the autopilot answered with its time `remote_ns`; the answer arrived at
    /// `received_ns`. Ignored when the answer's clock is not the one of the messages.
    pub fn round_trip(&mut self, sent_ns: i64, remote_ns: i64, received_ns: i64) {
        let length = received_ns.saturating_sub(sent_ns);
        if !(0..=MAX_ROUND_TRIP_NS).contains(&length) {
            return;
        }
        let offset_ns = (sent_ns + length / 2).saturating_sub(remote_ns);
        let error_ns = length / 2;
        // Delays are positive: the offset lies below that of any message, and not far.
        let Some(bound) = least(&self.one_way) else { return };
        if offset_ns > bound.saturating_add(error_ns + SLOT_NS) || offset_ns < bound.saturating_sub(JUMP_NS) {
            return;
        }
        keep(&mut self.round_trips, Observation { local_ns: received_ns, offset_ns, error_ns }, |new, old| {
            new.error_ns < old.error_ns
        });
        self.slew(received_ns);
    }

    /// The local time of a boot time; `None` in the first second.
    pub fn local_ns(&self, boot_ns: i64) -> Option<i64> {
        self.used.map(|(offset, _)| boot_ns.saturating_add(offset))
    }

    /// Times the clock was set anew.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    fn take(&mut self, boot_ns: i64, local_ns: i64) {
        let first = *self.first_local_ns.get_or_insert(local_ns);
        self.newest_boot_ns = self.newest_boot_ns.max(Some(boot_ns));
        let observation = Observation { local_ns, offset_ns: local_ns.saturating_sub(boot_ns), error_ns: 0 };
        keep(&mut self.one_way, observation, |new, old| new.offset_ns < old.offset_ns);
        while self.round_trips.front().is_some_and(|o| local_ns.saturating_sub(o.local_ns) > WINDOW_NS) {
            self.round_trips.pop_front();
        }
        if self.used.is_some() {
            self.slew(local_ns);
        } else if local_ns.saturating_sub(first) >= WARM_UP_NS {
            self.used = self.estimate().map(|o| (o.offset_ns, local_ns));
        }
    }

    fn estimate(&self) -> Option<Observation> {
        let best = self.round_trips.iter().min_by_key(|o| o.error_ns);
        best.or_else(|| self.one_way.iter().min_by_key(|o| o.offset_ns)).copied()
    }

    fn slew(&mut self, local_ns: i64) {
        let (Some((offset, since)), Some(target)) = (self.used, self.estimate()) else { return };
        let most = (local_ns.saturating_sub(since).max(0) as f64 * SLEW) as i64;
        let step = target.offset_ns.saturating_sub(offset).clamp(-most, most);
        self.used = Some((offset + step, local_ns.max(since)));
    }

    /// A stamp that does not fit; true when enough of them agree and the clock was set anew.
    fn jump(&mut self, boot_ns: i64, local_ns: i64) -> bool {
        let agrees = |(boot, local): &(i64, i64)| {
            let apart = boot_ns.saturating_sub(*boot).saturating_sub(local_ns.saturating_sub(*local));
            apart.saturating_abs() <= JUMP_NS
        };
        if !self.jumped.iter().all(agrees) {
            self.jumped.clear();
        }
        self.jumped.push((boot_ns, local_ns));
        if self.jumped.len() < JUMP_MESSAGES {
            return false;
        }
        let (jumped, resets) = (std::mem::take(&mut self.jumped), self.resets + 1);
        *self = Self { resets, ..Self::default() };
        jumped.into_iter().for_each(|(boot, local)| self.take(boot, local));
        true
    }
}

fn least(window: &VecDeque<Observation>) -> Option<i64> {
    window.iter().map(|o| o.offset_ns).min()
}

/// Puts an observation into its slot of the window if it is better than what is there, and forgets what is too old.
fn keep(window: &mut VecDeque<Observation>, new: Observation, better: impl Fn(&Observation, &Observation) -> bool) {
    match window.back_mut() {
        Some(last) if new.local_ns.saturating_sub(last.local_ns) < SLOT_NS => {
            if better(&new, last) {
                // The slot keeps its start, or a run of ever better observations would never fill it.
                *last = Observation { local_ns: last.local_ns, ..new };
            }
        }
        _ => window.push_back(new),
    }
    while window.front().is_some_and(|o| new.local_ns.saturating_sub(o.local_ns) > WINDOW_NS) {
        window.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// An autopilot and its link: when it booted by the local clock, how fast its clock runs, how long messages take.
    struct Link {
        rng: ChaCha8Rng,
        booted_ns: i64,
        drift: f64,
        delay_ms: f64,
        jitter_ms: f64,
    }

    impl Link {
        fn new(seed: u64) -> Self {
            Self {
                rng: ChaCha8Rng::seed_from_u64(seed),
                booted_ns: -37 * NANOS_PER_SEC,
                drift: 20e-6,
                delay_ms: 1.0,
                jitter_ms: 15.0,
            }
        }

        /// The autopilot's time since boot at a local time, in whole milliseconds as it is sent.
        fn boot_ns(&self, local_ns: i64) -> i64 {
            let since = (local_ns - self.booted_ns) as f64 * (1.0 + self.drift);
            (since as i64) / 1_000_000 * 1_000_000
        }

        fn delay_ns(&mut self) -> i64 {
            // Half the messages are quick, the others wait in some queue.
            let wait = (2.0 * self.rng.random::<f64>() - 1.0).max(0.0) * self.jitter_ms;
            ((self.delay_ms + wait) * 1e6) as i64
        }

        /// Messages at 50 Hz, 5 % lost, reordered by their delays; returns the largest error of the mapping and the least step
        /// between mapped times of consecutive stamps, over what could be mapped.
        fn run(&mut self, clock: &mut ClockMapping, from_s: i64, to_s: i64, round_trips: bool) -> (i64, i64, usize) {
            let mut arrivals = Vec::new();
            for i in from_s * 50..to_s * 50 {
                let local = i * NANOS_PER_SEC / 50;
                if self.rng.random::<f64>() > 0.05 {
                    arrivals.push((local + self.delay_ns(), local));
                }
            }
            arrivals.sort_unstable();
            let (mut worst, mut mapped, mut last) = (0, 0, None);
            let mut least_step = i64::MAX;
            for (i, (arrival, sent)) in arrivals.iter().enumerate() {
                let boot = self.boot_ns(*sent);
                if !clock.arrival(boot, *arrival) {
                    continue;
                }
                if round_trips && i % 50 == 0 {
                    let there = arrival + self.delay_ns();
                    let back = there + self.delay_ns();
                    let remote = (there - self.booted_ns) as f64 * (1.0 + self.drift);
                    clock.round_trip(*arrival, remote as i64, back);
                }
                let Some(local) = clock.local_ns(boot) else { continue };
                mapped += 1;
                worst = worst.max((local - sent).abs());
                if let Some((last_boot, last_local)) = last
                    && boot > last_boot
                {
                    least_step = least_step.min(local - last_local);
                }
                last = Some((boot, local));
            }
            (worst, least_step, mapped)
        }
    }

    #[test]
    fn without_answers_the_error_is_the_shortest_delay_whatever_the_jitter_loss_order_and_drift() {
        for seed in 0..20 {
            let (mut link, mut clock) = (Link::new(seed), ClockMapping::new());
            let (worst, least_step, mapped) = link.run(&mut clock, 0, 600, false);
            // 1 ms of delay, up to 1 ms of rounding, 0.2 ms of drift in the window.
            assert!(worst < 2_500_000, "{seed}: {worst}");
            assert!(least_step > 0, "{seed}: {least_step}");
            assert!(mapped > 28_000 && clock.resets() == 0, "{seed}: {mapped}");
        }
    }

    #[test]
    fn round_trips_take_the_delay_out() {
        let mut link = Link { delay_ms: 40.0, ..Link::new(3) };
        let mut clock = ClockMapping::new();
        link.run(&mut clock, 0, 20, true);
        let (with, ..) = link.run(&mut clock, 20, 60, true);
        let (without, ..) = Link { delay_ms: 40.0, ..Link::new(3) }.run(&mut ClockMapping::new(), 0, 60, false);
        assert!(with < 6_000_000 && without > 39_000_000, "{with} {without}");
    }

    #[test]
    fn a_reboot_sets_the_clock_anew_after_a_few_messages() {
        let (mut link, mut clock) = (Link::new(5), ClockMapping::new());
        link.run(&mut clock, 0, 60, true);
        link.booted_ns = 63 * NANOS_PER_SEC;
        let (worst, least_step, mapped) = link.run(&mut clock, 66, 126, false);
        assert_eq!(clock.resets(), 1);
        assert!(worst < 2_500_000 && least_step > 0, "{worst} {least_step}");
        // All but the 5 % lost and the first second.
        assert!(mapped > 2_750, "{mapped}");
    }

    #[test]
    fn a_single_stamp_of_another_clock_is_refused() {
        let (mut link, mut clock) = (Link::new(6), ClockMapping::new());
        link.run(&mut clock, 0, 20, false);
        let before = clock.local_ns(0);
        for stray in [5, i64::MAX, i64::MIN, 1_700_000_000 * NANOS_PER_SEC] {
            assert!(!clock.arrival(stray, 20 * NANOS_PER_SEC));
        }
        assert!((clock.local_ns(0).unwrap() - before.unwrap()).abs() < 1_000_000);
        assert_eq!(clock.resets(), 0);
        let (worst, ..) = link.run(&mut clock, 20, 40, false);
        assert!(worst < 2_500_000);
    }

    #[test]
    fn answers_of_another_clock_are_ignored() {
        let (mut link, mut clock) = (Link::new(7), ClockMapping::new());
        link.run(&mut clock, 0, 20, false);
        let before = clock.local_ns(0);
        clock.round_trip(20 * NANOS_PER_SEC, 1_700_000_000 * NANOS_PER_SEC, 20 * NANOS_PER_SEC + 1_000_000);
        clock.round_trip(20 * NANOS_PER_SEC, 57 * NANOS_PER_SEC, 19 * NANOS_PER_SEC);
        assert_eq!(clock.local_ns(0), before);
    }
}
