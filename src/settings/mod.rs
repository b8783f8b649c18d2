//! Tables of settings: each setting stands once, with its default, its bound and what it means, where it is used. The configuration of a
//! flight ([`crate::config`]) puts the tables together, fills them key by key and prints them.

mod bound;
mod table;
mod words;

pub use bound::Bound;
pub use table::{Key, SetError, Table};
pub(crate) use table::{as_toml, from_toml, settings};
pub(crate) use words::{words, written_as_text};
