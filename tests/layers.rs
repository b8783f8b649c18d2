//! The layers that `docs/ARCHITECTURE.md` states, held against every path of the source: each layer uses only those stated before it, and
//! no files of one module go round in a circle.
//!
//! Read are the tokens, not the text: use trees, paths within code and within macro calls, re-exports and `super` chains, tests included.

#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

mod layers {
    pub mod circles;
    pub mod paths;
}

use layers::{circles, paths};

/// Source files by their path below `src`.
type Sources = BTreeMap<String, String>;

fn source_of_this_crate() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Sources::new();
    for entry in walkdir::WalkDir::new(&root) {
        let entry = entry.expect("the source tree can be read");
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let below = entry.path().strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            sources.insert(below, std::fs::read_to_string(entry.path()).expect("a source file is text"));
        }
    }
    sources
}

/// The modules in the order of their layers: the words in code font that begin the lines of the numbered list under `## Layers`.
fn stated_order() -> Vec<String> {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md"))
        .expect("docs/ARCHITECTURE.md");
    order_of(&document)
}

fn order_of(document: &str) -> Vec<String> {
    document
        .lines()
        .skip_while(|line| *line != "## Layers")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.trim_start().strip_prefix("- `")?.split_once('`'))
        .map(|(module, _)| module.to_owned())
        .collect()
}

/// What breaks the order, one line each.
fn violations(sources: &Sources, order: &[String]) -> Vec<String> {
    let tree = paths::Tree::of(sources);
    let rank = |module: &str| order.iter().position(|name| name == module);
    let mut found: Vec<String> = tree
        .modules()
        .into_iter()
        .filter(|module| rank(module).is_none())
        .map(|module| format!("`{module}` has no layer"))
        .collect();
    found.extend(
        order
            .iter()
            .filter(|name| !tree.modules().contains(name.as_str()))
            .map(|name| format!("the layer `{name}` has no module")),
    );
    for reference in tree.references() {
        let at = format!("{}:{}", reference.file, reference.line);
        match reference.target.first() {
            None => found.push(format!("{at}: the whole crate is named, so that what is used of it cannot be told")),
            Some(target) if *target == reference.module => {}
            Some(target) if rank(target) < rank(&reference.module) => {}
            Some(target) => found.push(format!("{at}: `{}` uses `{target}`, which is above it", reference.module)),
        }
    }
    found
}

#[test]
fn every_layer_uses_only_those_before_it() {
    let found = violations(&source_of_this_crate(), &stated_order());
    assert!(found.is_empty(), "{} paths go up:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_files_of_a_module_go_round_in_a_circle() {
    let sources = source_of_this_crate();
    let found = circles::of_files(&paths::Tree::of(&sources));
    assert!(found.is_empty(), "circles:\n{}", found.iter().map(|files| files.join(" → ")).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_path_of_this_crate_leads_somewhere() {
    let sources = source_of_this_crate();
    let tree = paths::Tree::of(&sources);
    let reached: BTreeSet<&str> =
        tree.references().iter().filter_map(|reference| reference.target.first().map(String::as_str)).collect();
    let modules = tree.modules();
    let strange: Vec<_> = reached.iter().filter(|name| !modules.contains(**name)).collect();
    assert!(strange.is_empty(), "paths to what is no module: {strange:?}");
    assert!(tree.references().len() > 1000, "only {} paths were read", tree.references().len());
}

#[test]
fn the_files_that_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["CONTRIBUTING.md", "docs/ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root.join(document)).expect(document);
        let named = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|code| ["src/", "tests/", "models/", "docs/"].iter().any(|at| code.starts_with(at)));
        let mut count = 0;
        for path in named {
            assert!(root.join(path).exists(), "{document} names {path}, which is not there");
            count += 1;
        }
        assert!(count > 0, "{document} names no files");
    }
}

/// Two layers, `low` under `high`, with `planted` as one file of the lower.
fn with_planted(planted: &str) -> Vec<String> {
    let sources = Sources::from([
        ("lib.rs".to_owned(), "pub mod low; pub mod high;".to_owned()),
        ("low/mod.rs".to_owned(), "pub mod deep; pub struct Small; macro_rules! small { () => {} }".to_owned()),
        ("low/deep.rs".to_owned(), planted.to_owned()),
        (
            "high/mod.rs".to_owned(),
            "use crate::low::Small; pub struct Tall; #[macro_export] macro_rules! tall { () => {} }".to_owned(),
        ),
    ]);
    violations(&sources, &["low".to_owned(), "high".to_owned()])
}

#[test]
fn a_planted_violation_is_found_however_it_is_written() {
    for planted in [
        "use crate::high::Tall;",
        "use crate::{low::Small, high::{self, Tall}};",
        "use {std::fmt, crate::high as other};",
        "use super::super::high::Tall;",
        "use super::super::{high};",
        "use super::Small; pub use crate::high::*;",
        "pub(crate) use ::skyfix::high::Tall;",
        "fn f() -> Vec<crate::high::Tall> { Vec::new() }",
        "fn f() { let _ = <crate::high::Tall as Default>::default(); }",
        "fn f() { println!(\"{:?}\", crate::high::Tall); }",
        "macro_rules! m { () => { $crate::high::Tall } }",
        "pub(in crate::high) struct Small;",
        "mod inner { use super::super::super::high::Tall; }",
        "mod inner { fn f() { let _ = self::super::super::super::high::Tall; } }",
        "#[cfg(test)] mod tests { use super::*; use crate::high::Tall; }",
        "fn f() { crate::tall!() }",
        "fn f() { tall!() }",
        "use crate::*;",
        "use crate as root;",
        "use super::super::*;",
        "#[derive(Clone)] #[serde(with = \"crate::high\")] struct S;",
        "use crate::r#high::Tall;",
    ] {
        assert!(!with_planted(planted).is_empty(), "{planted}");
    }
}

#[test]
fn what_is_below_or_within_is_no_violation() {
    for clean in [
        "use crate::low::Small;",
        "use super::Small;",
        "use super::{self, Small};",
        "mod inner { use super::super::Small; use std::high::Tall; }",
        "fn f() { small!() }",
        "//! [`crate::high::Tall`] is above\n/// See [`crate::high`].\nfn f() {} // crate::high::Tall",
        "const HINT: &str = \"use crate::high::Tall\";",
        "fn f(high: u8) -> u8 { high }",
    ] {
        assert!(with_planted(clean).is_empty(), "{clean}: {:?}", with_planted(clean));
    }
}

#[test]
fn a_module_without_a_layer_and_a_layer_without_a_module_are_told() {
    let sources = Sources::from([("lib.rs".to_owned(), "mod low;".to_owned()), ("low.rs".to_owned(), String::new())]);
    assert_eq!(violations(&sources, &[]), ["`low` has no layer"]);
    assert_eq!(violations(&sources, &["low".to_owned(), "gone".to_owned()]), ["the layer `gone` has no module"]);
    let document = "## Layers\n\n1. One\n   - `low` small\n2. Two\n   - `high` with `low`\n\n## Else\n- `other`\n";
    assert_eq!(order_of(document), ["low", "high"]);
}

#[test]
fn a_planted_circle_is_found_through_a_re_export() {
    let ring = |b: &str| {
        let sources = Sources::from([
            ("lib.rs".to_owned(), "mod m;".to_owned()),
            ("m/mod.rs".to_owned(), "mod a; mod b; mod c; pub use a::Alpha; pub use b::{Beta, Other as Renamed};".to_owned()),
            ("m/a.rs".to_owned(), "use super::Renamed; pub struct Alpha;".to_owned()),
            ("m/b.rs".to_owned(), b.to_owned()),
            ("m/c.rs".to_owned(), "use super::a::Alpha; pub struct Gamma;".to_owned()),
        ]);
        circles::of_files(&paths::Tree::of(&sources))
    };
    assert!(ring("use std::fmt;").is_empty());
    assert_eq!(ring("use super::Alpha;"), [["m/a.rs", "m/b.rs"]]);
    assert_eq!(ring("use crate::m::c;"), [["m/a.rs", "m/b.rs", "m/c.rs"]]);
    assert_eq!(ring("fn f() { super::c::g() }"), [["m/a.rs", "m/b.rs", "m/c.rs"]]);
}
