//! Files of one module that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::Tree;

/// Every circle of files, its files in order. That a module declares the files below it, and hands on what they hold, closes none.
pub fn of_files(tree: &Tree) -> Vec<Vec<String>> {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reference in tree.references() {
        if let Some(used) = tree.file_of(&reference.target)
            && used != reference.file
            && !holds(&reference.file, used)
        {
            uses.entry(&reference.file).or_default().insert(used);
        }
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|file| (*file, reached(&uses, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &reach {
        if reached.contains(file) {
            let circle: BTreeSet<&str> =
                reached.iter().copied().filter(|other| reach.get(other).is_some_and(|back| back.contains(file))).collect();
            circles.insert(circle.into_iter().map(str::to_owned).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

/// Whether one file is of a module that another declares, at any depth.
fn holds(above: &str, below: &str) -> bool {
    let folder = match above.strip_suffix("mod.rs") {
        Some(folder) => folder.to_owned(),
        None => format!("{}/", above.trim_end_matches(".rs")),
    };
    below.starts_with(&folder)
}

fn reached<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for used in uses.get(file).into_iter().flatten() {
            if found.insert(*used) {
                open.push(used);
            }
        }
    }
    found
}
