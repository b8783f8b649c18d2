//! Which row of `frames.csv` belongs to a decoded frame.
//!
//! Rows go by the number of the frame. Where part of a file is damaged, pictures are missing, and those after them have other numbers than when
//! it was recorded: stamps taken by number would then be too early, without a sign of it. There the container's times tell which frame it is.

use std::collections::{BTreeMap, HashMap};

use crate::recording::rows::FrameRow;

/// Containers round times to a millisecond, at either end of a difference.
const ROUNDING_NS: i64 = 2_000_000;

/// So many rows in a row are no accident.
const CONFLICTS: u32 = 3;

/// A frame and the stamp of its row.
#[derive(Clone, Copy)]
struct Matched {
    pts_ns: i64,
    stamp_ns: i64,
}

/// The rows of `frames.csv`.
pub(super) struct FrameTable {
    rows: HashMap<u64, FrameRow>,
    /// Number of the frame by its stamp.
    by_stamp: BTreeMap<i64, u64>,
    is_live: bool,
    /// The last frame that has a row.
    matched: Option<Matched>,
    /// How many frames agreed with the one before in the time that passed.
    agreed: u64,
    /// Number and time of the last frame, and the least time from one frame to the next.
    last: Option<(u64, i64)>,
    usual_ns: Option<i64>,
    /// Pictures that are missing so far.
    missing: u64,
    /// What rows that agree by their number only have between stamp and time, and how many of them in a row.
    conflict: (i64, u32),
}

impl FrameTable {
    pub fn new(rows: Vec<FrameRow>) -> Self {
        Self {
            is_live: rows.iter().any(FrameRow::is_live),
            by_stamp: rows.iter().map(|row| (row.stamp_ns, row.frame)).collect(),
            rows: rows.into_iter().map(|row| (row.frame, row)).collect(),
            matched: None,
            agreed: 0,
            last: None,
            usual_ns: None,
            missing: 0,
            conflict: (0, 0),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the rows tell which frames were served live, and with what knowledge.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Pictures of the recording that the file does not hold any more, so far.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// The row of a frame by its number and the container's time. Numbers increase from call to call.
    pub fn row(&mut self, index: u64, pts_ns: i64) -> Option<FrameRow> {
        let is_late = self.is_late(index, pts_ns);
        let number = index.saturating_add(self.missing);
        let stamp_of = |number: u64| self.rows.get(&number).map(|row| row.stamp_ns);
        let found = match self.matched {
            None => stamp_of(number).map(|stamp_ns| (number, stamp_ns)),
            Some(matched) => {
                let wanted_ns = matched.stamp_ns.saturating_add(pts_ns.saturating_sub(matched.pts_ns));
                // A recorder writes its stamps into the container. Tables that people make may have other times than a container of constant rate.
                let tolerance_ns = if self.is_live { ROUNDING_NS } else { self.usual_ns.unwrap_or(0) / 2 };
                let agrees = |stamp_ns: i64| stamp_ns.abs_diff(wanted_ns) <= tolerance_ns.unsigned_abs();
                let by_number = stamp_of(number).map(|stamp_ns| (number, stamp_ns));
                let agreeing = by_number.filter(|(_, stamp_ns)| agrees(*stamp_ns)).or_else(|| {
                    let may_be_missing = self.is_live || is_late;
                    self.nearest(wanted_ns).filter(|(n, stamp_ns)| may_be_missing && *n >= index && agrees(*stamp_ns))
                });
                self.agreed += u64::from(agreeing.is_some());
                agreeing.or_else(|| {
                    by_number.filter(|(_, stamp_ns)| {
                        !self.is_live || self.agreed == 0 || self.insists(stamp_ns.saturating_sub(pts_ns))
                    })
                })
            }
        };
        let (number, stamp_ns) = found?;
        self.missing = number.saturating_sub(index);
        self.conflict.1 = 0;
        self.matched = Some(Matched { pts_ns, stamp_ns });
        self.rows.get(&number).cloned()
    }

    /// Whether several rows in a row agree by their numbers on another relation of stamps to the container's times: it has a new beginning.
    fn insists(&mut self, stamp_minus_pts_ns: i64) -> bool {
        let (before_ns, times) = self.conflict;
        let same = stamp_minus_pts_ns.abs_diff(before_ns) <= ROUNDING_NS.unsigned_abs();
        self.conflict = (stamp_minus_pts_ns, if same { times + 1 } else { 1 });
        self.conflict.1 >= CONFLICTS
    }

    /// Whether more time has passed since the frame before than frames take.
    fn is_late(&mut self, index: u64, pts_ns: i64) -> bool {
        let Some((last, last_ns)) = self.last.replace((index, pts_ns)) else { return false };
        let frames = i64::try_from(index.saturating_sub(last)).unwrap_or(i64::MAX).max(1);
        let step_ns = pts_ns.saturating_sub(last_ns);
        let is_late =
            self.usual_ns.is_some_and(|usual_ns| step_ns > frames.saturating_mul(usual_ns).saturating_add(usual_ns / 2));
        let each_ns = (step_ns / frames).max(1);
        self.usual_ns = Some(self.usual_ns.map_or(each_ns, |usual_ns| usual_ns.min(each_ns)));
        is_late
    }

    /// Number and stamp of the row nearest in time.
    fn nearest(&self, stamp_ns: i64) -> Option<(u64, i64)> {
        let before = self.by_stamp.range(..=stamp_ns).next_back();
        let after = self.by_stamp.range(stamp_ns..).next();
        before.into_iter().chain(after).min_by_key(|(stamp, _)| stamp.abs_diff(stamp_ns)).map(|(stamp, number)| (*number, *stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Known;

    const MS: i64 = 1_000_000;

    fn plain(stamps_ms: impl IntoIterator<Item = i64>) -> FrameTable {
        let row = |(i, ms): (usize, i64)| toml::from_str(&format!("frame = {i}\nstamp_ns = {}", ms * MS)).unwrap();
        FrameTable::new(stamps_ms.into_iter().enumerate().map(row).collect())
    }

    fn live(rows: &[(u64, i64)]) -> FrameTable {
        FrameTable::new(rows.iter().map(|(frame, ms)| FrameRow::of(*frame, ms * MS + 123_456, &Known::default())).collect())
    }

    /// The rows of frames at these times, which are numbered anew.
    fn frames(table: &mut FrameTable, pts_ms: &[i64]) -> Vec<Option<u64>> {
        pts_ms.iter().enumerate().map(|(i, ms)| table.row(i as u64, ms * MS).map(|row| row.frame)).collect()
    }

    #[test]
    fn a_whole_file_goes_by_number() {
        let mut table = plain((0..50).map(|i| 10_000 + 40 * i));
        let pts: Vec<i64> = (0..50).map(|i| 40 * i).collect();
        assert_eq!(frames(&mut table, &pts), (0..50).map(Some).collect::<Vec<_>>());
        assert_eq!(table.missing(), 0);
    }

    #[test]
    fn frames_after_a_damaged_part_keep_their_own_stamps() {
        let mut table = plain((0..50).map(|i| 10_000 + 40 * i));
        let pts: Vec<i64> = (0..50).filter(|i| !(20..31).contains(i)).map(|i| 40 * i).collect();
        let expected: Vec<Option<u64>> = (0..50).filter(|i| !(20..31).contains(i)).map(Some).collect();
        assert_eq!(frames(&mut table, &pts), expected);
        assert_eq!(table.missing(), 11);
        // One at a time, and thinned.
        let mut table = plain((0..100).map(|i| 200 * i));
        let kept: Vec<u64> = (0..100).filter(|i| i % 17 != 16).collect();
        for (index, frame) in kept.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
            assert_eq!(table.row(index as u64, *frame as i64 * 200 * MS).unwrap().frame, *frame);
        }
    }

    #[test]
    fn stamps_of_their_own_beside_a_video_of_constant_rate_go_by_number() {
        let mut table = plain([0, 500, 900, 1_800, 2_000, 2_600]);
        let pts: Vec<i64> = (0..6).map(|i| 40 * i).collect();
        assert_eq!(frames(&mut table, &pts), (0..6).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn a_pause_that_the_table_knows_is_no_damage() {
        let mut table = plain([0, 40, 80, 5_000, 5_040]);
        assert_eq!(frames(&mut table, &[1_000, 1_040, 1_080, 6_000, 6_040]), (0..5).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_whose_times_begin_anew_is_told_by_number_again() {
        let rows: Vec<(u64, i64)> = (0..20).map(|i| (i, 40 * i as i64)).collect();
        let pts: Vec<i64> = (0..20).map(|i| if i < 10 { 40 * i } else { 40 * i - 333 }).collect();
        let served = frames(&mut live(&rows), &pts);
        assert_eq!(served[12..], (12..20).map(Some).collect::<Vec<_>>());
        assert!(served[10..12].iter().all(Option::is_none));
    }

    #[test]
    fn a_recorded_flight_serves_the_frames_that_were_served_and_no_other() {
        // Every fourth was served; frames 6 and 7 are missing now.
        let rows: Vec<(u64, i64)> = (0..10).map(|i| (4 * i, 160 * i as i64)).collect();
        let kept: Vec<i64> = (0..40).filter(|i| !(6..8).contains(i)).collect();
        let pts: Vec<i64> = kept.iter().map(|i| 40 * i).collect();
        let expected: Vec<Option<u64>> = kept.iter().map(|i| (i % 4 == 0).then_some(*i as u64)).collect();
        assert_eq!(frames(&mut live(&rows), &pts), expected);
        // The one that is missing was a served one.
        let kept: Vec<i64> = (0..40).filter(|i| *i != 8).collect();
        let pts: Vec<i64> = kept.iter().map(|i| 40 * i).collect();
        let expected: Vec<Option<u64>> = kept.iter().map(|i| (i % 4 == 0).then_some(*i as u64)).collect();
        assert_eq!(frames(&mut live(&rows), &pts), expected);
    }
}
