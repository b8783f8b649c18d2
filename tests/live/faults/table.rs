//! The matrix as a table of `docs/TESTING.md`.

use super::{FAULTS, PARTS, Row, files};

const BEGIN: &str = "<!-- faults begin -->";
const END: &str = "<!-- faults end -->";

pub fn assert_holds(rows: &[Row]) {
    let deviations: Vec<String> = rows
        .iter()
        .filter(|row| !row.faults.is_empty())
        .map(|row| format!("{:?} {:?} ({}): {}; found {}", row.part, row.fault, row.done, row.faults.join("; "), row.found))
        .collect();
    assert!(deviations.is_empty(), "{} of {} cells deviate:\n{}", deviations.len(), rows.len(), deviations.join("\n"));
}

/// Writes the table between its marks.
pub fn write(rows: &[Row]) {
    let path = crate::bundled::root().join("docs/TESTING.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut table = String::from("\n\n| part | fault | what was done | expected | found |\n| --- | --- | --- | --- | --- |\n");
    for part in PARTS {
        for fault in FAULTS {
            match rows.iter().find(|row| (row.part, row.fault) == (part, fault)) {
                Some(row) => {
                    let found = if row.faults.is_empty() {
                        row.found.clone()
                    } else {
                        format!("**{}**: {}", row.faults.join("; "), row.found)
                    };
                    table += &format!("| {part:?} | {fault:?} | {} | {} | {found} |\n", row.done, row.expected);
                }
                None => table += &format!("| {part:?} | {fault:?} | {} | - | - |\n", files::why_not(part, fault)),
            }
        }
    }
    std::fs::write(&path, format!("{before}{BEGIN}{table}\n{END}{after}")).unwrap();
}
