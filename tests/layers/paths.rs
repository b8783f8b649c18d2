//! Every path of a crate's source that leads into the crate: where it stands and what it names.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path that leads into the crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub file: String,
    pub line: usize,
    /// The top-level module that the file belongs to; empty for the root itself.
    pub module: String,
    /// What is named, from the root of the crate; the root itself is empty.
    pub target: Vec<String>,
}

/// The files of a crate and what they name.
pub struct Tree {
    /// Files by the path of their module.
    files: BTreeMap<Vec<String>, String>,
    references: Vec<Reference>,
    /// What a file takes from modules of its own, by the name that it then has there: (module of the file, name) → where it is.
    exports: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl Tree {
    /// Reads every file. The binary's own modules (`main.rs`, `cli`) count as one more layer of the crate.
    pub fn of(sources: &BTreeMap<String, String>) -> Self {
        let parsed: Vec<(Vec<String>, &String, Vec<TokenTree>)> = sources
            .iter()
            .map(|(file, text)| {
                let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
                (module_of(file), file, tokens.into_iter().collect())
            })
            .collect();
        let mut macros = BTreeMap::new();
        for (module, _, tokens) in &parsed {
            macros_in(tokens, module, &mut macros);
        }
        let mut tree = Self { files: BTreeMap::new(), references: Vec::new(), exports: BTreeMap::new() };
        for (module, file, tokens) in &parsed {
            let mut reader = Reader { file, module, inline: Vec::new(), macros: &macros, found: Vec::new(), exports: Vec::new() };
            reader.read(tokens);
            tree.references.extend(reader.found.into_iter().map(|(line, target)| Reference {
                file: (*file).clone(),
                line,
                module: module.first().cloned().unwrap_or_default(),
                target,
            }));
            tree.exports.extend(reader.exports.into_iter().map(|(name, target)| ((module.clone(), name), target)));
            tree.files.insert(module.clone(), (*file).clone());
        }
        // The root declares the layers; it belongs to none.
        tree.references.retain(|reference| !reference.module.is_empty());
        tree
    }

    pub fn modules(&self) -> BTreeSet<&str> {
        self.files.keys().filter_map(|module| module.first().map(String::as_str)).collect()
    }

    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The file that holds what a path names, re-exports followed; nothing for the root.
    pub fn file_of(&self, target: &[String]) -> Option<&str> {
        let mut target = target.to_vec();
        // A chain of re-exports is no longer than there are files.
        for _ in 0..=self.files.len() {
            let held = (1..=target.len()).rev().find(|&length| self.files.contains_key(&target[..length]))?;
            let next = target.get(held).and_then(|name| self.exports.get(&(target[..held].to_vec(), name.clone())));
            match next {
                Some(next) => target = next.clone(),
                None => return self.files.get(&target[..held]).map(String::as_str),
            }
        }
        None
    }
}

/// The path of the module that a file holds: `map/mod.rs` holds `map`, `map/tile.rs` holds `map::tile`.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    match parts.last().map(String::as_str) {
        Some("mod") => drop(parts.pop()),
        // The binary's root and what hangs on it are one layer.
        Some("main") if parts.len() == 1 => parts = vec!["cli".to_owned(), "main".to_owned()],
        Some("lib") if parts.len() == 1 => parts.clear(),
        _ => {}
    }
    parts
}

/// `macro_rules! name` by its name, with the module that it is written in. A name that is defined twice is known by neither.
fn macros_in(tokens: &[TokenTree], module: &[String], found: &mut BTreeMap<String, Option<Vec<String>>>) {
    for (place, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(word) if word == "macro_rules" => {
                if let Some(TokenTree::Ident(name)) = tokens.get(place + 2) {
                    found.entry(name.to_string()).and_modify(|known| *known = None).or_insert_with(|| Some(module.to_vec()));
                }
            }
            TokenTree::Group(group) => macros_in(&group.stream().into_iter().collect::<Vec<_>>(), module, found),
            _ => {}
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    module: &'a [String],
    /// Modules with a body, from the file's own to the one that is read.
    inline: Vec<String>,
    macros: &'a BTreeMap<String, Option<Vec<String>>>,
    found: Vec<(usize, Vec<String>)>,
    exports: Vec<(String, Vec<String>)>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: &[TokenTree]) {
        let mut place = 0;
        while place < tokens.len() {
            place = self.step(tokens, place);
        }
    }

    /// Reads what begins at `place`; gives where the next thing begins.
    fn step(&mut self, tokens: &[TokenTree], place: usize) -> usize {
        let word = |at: usize| match tokens.get(at) {
            Some(TokenTree::Ident(ident)) => Some(ident.to_string().trim_start_matches("r#").to_owned()),
            _ => None,
        };
        match &tokens[place] {
            TokenTree::Ident(ident) if ident == "use" => {
                let end =
                    tokens[place..].iter().position(|token| is_punct(token, ';')).map_or(tokens.len(), |length| place + length);
                self.use_tree(&tokens[place + 1..end], None);
                end
            }
            TokenTree::Ident(ident) if ident == "mod" => match (word(place + 1), tokens.get(place + 2)) {
                (Some(name), Some(TokenTree::Group(body))) if body.delimiter() == Delimiter::Brace => {
                    self.inline.push(name);
                    self.read(&body.stream().into_iter().collect::<Vec<_>>());
                    self.inline.pop();
                    place + 3
                }
                _ => place + 1,
            },
            TokenTree::Ident(ident) if begins_path(tokens, place) => {
                let (names, after) = path_at(tokens, place);
                if let Some(target) = self.resolve(&names) {
                    self.note(ident.span().start().line, target);
                }
                after
            }
            TokenTree::Ident(ident) if tokens.get(place + 1).is_some_and(|token| is_punct(token, '!')) => {
                if let Some(Some(home)) = self.macros.get(&ident.to_string()) {
                    self.note(ident.span().start().line, home.clone());
                }
                place + 1
            }
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                // An attribute that names code by a string: `#[serde(with = "crate::…")]`. Documentation is text.
                let attribute = group.delimiter() == Delimiter::Bracket
                    && place > 0
                    && (is_punct(&tokens[place - 1], '#') || is_punct(&tokens[place - 1], '!'));
                if attribute && matches!(inner.first(), Some(TokenTree::Ident(name)) if name == "path") {
                    panic!("{}: a module is put elsewhere than its path says, where its paths cannot be read", self.file);
                }
                if attribute && !matches!(inner.first(), Some(TokenTree::Ident(name)) if name == "doc") {
                    self.strings(&inner);
                }
                self.read(&inner);
                place + 1
            }
            _ => place + 1,
        }
    }

    fn strings(&mut self, tokens: &[TokenTree]) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let code = text.trim_matches('"');
                    if code.starts_with("crate::")
                        && let Ok(stream) = code.parse::<TokenStream>()
                    {
                        self.read(&stream.into_iter().collect::<Vec<_>>());
                    }
                }
                TokenTree::Group(group) => self.strings(&group.stream().into_iter().collect::<Vec<_>>()),
                _ => {}
            }
        }
    }

    /// One tree of a `use`, below `prefix`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: Option<&[String]>) {
        let Some(first) = tokens.first() else { return };
        let line = first.span().start().line;
        let mut names = prefix.map(<[String]>::to_vec).unwrap_or_default();
        let mut renamed = None;
        let mut rest = tokens.iter();
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(ident) if ident == "as" => {
                    renamed = match rest.next() {
                        Some(TokenTree::Ident(name)) => Some(name.to_string()),
                        _ => None,
                    };
                }
                TokenTree::Ident(ident) => names.push(ident.to_string().trim_start_matches("r#").to_owned()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for branch in inner.split(|token| is_punct(token, ',')) {
                        self.use_tree(branch, Some(&names));
                    }
                    return;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        // `{self}` names what stands before it.
        if names.len() > 1 && names.last().is_some_and(|name| name == "self") {
            names.pop();
        }
        let own = self.inline.is_empty();
        if let Some(target) = self.resolve(&names) {
            if own && let Some(name) = renamed.clone().or_else(|| target.last().cloned()) {
                self.exports.push((name, target.clone()));
            }
            self.note(line, target);
        } else if own
            && names.len() > 1
            && let Some(name) = renamed.or_else(|| names.last().cloned())
        {
            // From a module of the file's own, or from another crate: the latter names no file of this one and is never followed.
            self.exports.push((name, self.module.iter().chain(&names).cloned().collect()));
        }
    }

    /// A path from the root of the crate; nothing for one that does not say that it leads into the crate.
    fn resolve(&self, names: &[String]) -> Option<Vec<String>> {
        let mut here: Vec<String> = self.module.iter().chain(&self.inline).cloned().collect();
        let mut names = names.iter();
        match names.next()?.as_str() {
            "crate" if self.in_binary() => here = vec!["cli".to_owned()],
            "crate" | "skyfix" => here.clear(),
            "super" => drop(here.pop()),
            "self" => {}
            _ => return None,
        }
        for name in names {
            match name.as_str() {
                "super" => drop(here.pop()),
                "self" => {}
                _ => here.push(name.clone()),
            }
        }
        // `cli` is a module of the binary's root, which is the same layer.
        if self.in_binary() && here.starts_with(&["cli".to_owned(), "cli".to_owned()]) {
            here.remove(0);
        }
        // A macro of the crate is named at its root and lives where it is written.
        if let [name] = here.as_slice()
            && let Some(Some(home)) = self.macros.get(name)
            && home.first() != Some(name)
        {
            return Some(home.clone());
        }
        Some(here)
    }

    fn in_binary(&self) -> bool {
        self.module.first().is_some_and(|module| module == "cli")
    }

    fn note(&mut self, line: usize, target: Vec<String>) {
        self.found.push((line, target));
    }
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether `::` stands at a place.
fn is_separator(tokens: &[TokenTree], place: usize) -> bool {
    let colon = |at: usize| tokens.get(at).is_some_and(|token| is_punct(token, ':'));
    colon(place) && colon(place + 1)
}

/// Whether a path that leads into the crate begins with the word at a place: one that is followed by `::` and goes on no other path.
fn begins_path(tokens: &[TokenTree], place: usize) -> bool {
    let TokenTree::Ident(ident) = &tokens[place] else { return false };
    let leads = ["crate", "super", "self", "skyfix"].iter().any(|word| ident == word);
    let goes_on = place >= 2
        && is_separator(tokens, place - 2)
        && matches!(place.checked_sub(3).map(|before| &tokens[before]), Some(TokenTree::Ident(_)));
    leads && is_separator(tokens, place + 1) && !goes_on
}

/// The words of a path and where it ends.
fn path_at(tokens: &[TokenTree], mut place: usize) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    while let Some(TokenTree::Ident(ident)) = tokens.get(place) {
        names.push(ident.to_string().trim_start_matches("r#").to_owned());
        place += 1;
        if !is_separator(tokens, place) {
            break;
        }
        place += 2;
    }
    (names, place)
}
