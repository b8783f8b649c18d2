//! A table of settings, and the macro that declares one.

use serde::Serialize;
use toml::Value;

use super::Bound;

/// A setting as it stands in a table.
pub struct Key {
    /// Its path: tables and name, with dots.
    pub path: String,
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// What its numbers may be.
    pub bound: Bound,
    /// Its value as TOML; `None` where nothing is set.
    pub value: Option<Value>,
}

impl Key {
    /// A number of the value that is outside of the bound.
    pub fn outside(&self) -> Option<f64> {
        fn first(value: &Value, bound: Bound) -> Option<f64> {
            match value {
                Value::Integer(i) => Some(*i as f64).filter(|v| !bound.holds(*v)),
                Value::Float(v) => Some(*v).filter(|v| !bound.holds(*v)),
                Value::Array(values) => values.iter().find_map(|v| first(v, bound)),
                _ => None,
            }
        }
        first(self.value.as_ref()?, self.bound)
    }
}

/// Why a key was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// There is no such key.
    Unknown,
    /// The value is none for it; in words, why.
    Value(String),
}

/// Settings that are visited and set by their keys.
pub trait Table {
    /// Visits every key, in the order of declaration; `prefix` is the path of the table, with a dot at its end, or empty.
    fn visit(&self, prefix: &str, visit: &mut dyn FnMut(Key));

    /// Sets a key by its path within the table.
    ///
    /// # Errors
    /// When there is no such key, or the value is none for it.
    fn set(&mut self, path: &str, value: &Value) -> Result<(), SetError>;
}

/// A value as TOML.
pub(crate) fn as_toml(value: &impl Serialize) -> Option<Value> {
    Value::try_from(value).ok()
}

/// A TOML value as a setting's own type. An integer serves for a number with decimals.
pub(crate) fn from_toml<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, SetError> {
    let as_written = value.clone().try_into::<T>();
    let result = match (as_written, value) {
        (Err(first), Value::Integer(i)) => Value::Float(*i as f64).try_into().map_err(|_| first),
        (result, _) => result,
    };
    result.map_err(|e| SetError::Value(e.to_string().trim().replace('\n', " ")))
}

/// Declares a table: a struct with its defaults, and its [`Table`].
///
/// `key NAME: TYPE = DEFAULT, BOUND;` is a setting, `table NAME: TYPE;` a table within, `flat NAME: TYPE;` a table whose keys stand among
/// this one's. A table within may have defaults of its own here: `table NAME: TYPE = DEFAULT;`. The doc comment of a key is what it means,
/// as the configuration prints it.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($rest:tt)*
        }
    ) => {
        $crate::settings::settings!(@fields [$(#[$meta])*] [$vis $name] [] $($rest)*);
    };
    (@fields [$($meta:tt)*] [$vis:vis $name:ident] [$($done:tt)*]
        $(#[doc = $doc:literal])+ key $field:ident: $type:ty = $default:expr, $bound:expr; $($rest:tt)*) => {
        $crate::settings::settings!(@fields [$($meta)*] [$vis $name]
            [$($done)* { key $field ($type) ($default) ($bound) ($($doc),+) }] $($rest)*);
    };
    (@fields [$($meta:tt)*] [$vis:vis $name:ident] [$($done:tt)*]
        $(#[doc = $doc:literal])+ table $field:ident: $type:ty; $($rest:tt)*) => {
        $crate::settings::settings!(@fields [$($meta)*] [$vis $name]
            [$($done)* { table $field ($type) (Default::default()) (()) ($($doc),+) }] $($rest)*);
    };
    (@fields [$($meta:tt)*] [$vis:vis $name:ident] [$($done:tt)*]
        $(#[doc = $doc:literal])+ table $field:ident: $type:ty = $default:expr; $($rest:tt)*) => {
        $crate::settings::settings!(@fields [$($meta)*] [$vis $name]
            [$($done)* { table $field ($type) ($default) (()) ($($doc),+) }] $($rest)*);
    };
    (@fields [$($meta:tt)*] [$vis:vis $name:ident] [$($done:tt)*]
        $(#[doc = $doc:literal])+ flat $field:ident: $type:ty; $($rest:tt)*) => {
        $crate::settings::settings!(@fields [$($meta)*] [$vis $name]
            [$($done)* { flat $field ($type) (Default::default()) (()) ($($doc),+) }] $($rest)*);
    };
    (@fields [$($meta:tt)*] [$vis:vis $name:ident]
        [$({ $kind:ident $field:ident ($type:ty) ($default:expr) ($bound:expr) ($($doc:literal),+) })*]) => {
        $($meta)*
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::settings::Table for $name {
            fn visit(&self, prefix: &str, visit: &mut dyn FnMut($crate::settings::Key)) {
                $($crate::settings::settings!(@visit $kind self.$field, prefix, visit, stringify!($field), $bound, concat!($($doc, "\n"),+));)*
            }

            fn set(&mut self, path: &str, value: &toml::Value) -> Result<(), $crate::settings::SetError> {
                let (head, tail) = path.split_once('.').map_or((path, None), |(head, tail)| (head, Some(tail)));
                $($crate::settings::settings!(@set $kind self.$field, path, head, tail, value, stringify!($field).trim_start_matches("r#"));)*
                let _ = (head, tail);
                Err($crate::settings::SetError::Unknown)
            }
        }
    };
    (@visit key $field:expr, $prefix:ident, $visit:ident, $name:expr, $bound:expr, $doc:expr) => {
        $visit($crate::settings::Key {
            path: format!("{}{}", $prefix, $name.trim_start_matches("r#")),
            meaning: $doc,
            bound: $bound,
            value: $crate::settings::as_toml(&$field),
        })
    };
    (@visit table $field:expr, $prefix:ident, $visit:ident, $name:expr, $bound:expr, $doc:expr) => {
        $crate::settings::Table::visit(&$field, &format!("{}{}.", $prefix, $name.trim_start_matches("r#")), $visit)
    };
    (@visit flat $field:expr, $prefix:ident, $visit:ident, $name:expr, $bound:expr, $doc:expr) => {
        $crate::settings::Table::visit(&$field, $prefix, $visit)
    };
    (@set key $field:expr, $path:ident, $head:ident, $tail:ident, $value:ident, $name:expr) => {
        if $path == $name {
            $field = $crate::settings::from_toml($value)?;
            return Ok(());
        }
    };
    (@set table $field:expr, $path:ident, $head:ident, $tail:ident, $value:ident, $name:expr) => {
        if let (true, Some(tail)) = ($head == $name, $tail) {
            return $crate::settings::Table::set(&mut $field, tail, $value);
        }
    };
    (@set flat $field:expr, $path:ident, $head:ident, $tail:ident, $value:ident, $name:expr) => {
        match $crate::settings::Table::set(&mut $field, $path, $value) {
            Err($crate::settings::SetError::Unknown) => {}
            set => return set,
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    settings! {
        /// An inner table.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Inner {
            /// How long, seconds.
            key time_s: f64 = 2.5, Bound::Positive;
        }
    }

    settings! {
        /// An outer table.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Outer {
            /// How many.
            /// At most nine.
            key count: usize = 3, Bound::Within(1.0, 9.0);
            /// Whose name; nobody's by default.
            key name: Option<String> = None, Bound::Any;
            /// Three numbers.
            key three: [f64; 3] = [1.0, 2.0, 3.0], Bound::Positive;
            /// A table within.
            table inner: Inner;
            /// Another of its kind, with defaults of its own.
            table second: Inner = Inner { time_s: 0.5 };
            /// Keys of another table among these.
            flat more: Inner;
        }
    }

    fn keys(table: &Outer) -> Vec<(String, Option<String>, Option<f64>)> {
        let mut out = Vec::new();
        table.visit("t.", &mut |k| out.push((k.path.clone(), k.value.as_ref().map(ToString::to_string), k.outside())));
        out
    }

    #[test]
    fn every_key_is_visited_with_its_path_and_value() {
        let paths: Vec<(String, Option<String>)> = keys(&Outer::default()).into_iter().map(|(p, v, _)| (p, v)).collect();
        let expected = [
            ("t.count", Some("3")),
            ("t.name", None),
            ("t.three", Some("[1.0, 2.0, 3.0]")),
            ("t.inner.time_s", Some("2.5")),
            ("t.second.time_s", Some("0.5")),
            ("t.time_s", Some("2.5")),
        ];
        assert_eq!(paths, expected.map(|(p, v)| (p.to_owned(), v.map(str::to_owned))));
    }

    #[test]
    fn a_key_is_set_by_its_path_and_what_is_none_is_refused() {
        let mut table = Outer::default();
        assert_eq!(table.set("inner.time_s", &Value::Integer(4)), Ok(()));
        assert_eq!(table.set("time_s", &Value::Float(7.0)), Ok(()));
        assert_eq!(table.set("name", &Value::String("x".into())), Ok(()));
        assert_eq!((table.inner.time_s, table.more.time_s, table.name.as_deref()), (4.0, 7.0, Some("x")));
        assert_eq!(table.set("second.time_s", &Value::Float(6.0)), Ok(()));
        assert_eq!((table.inner.time_s, table.second.time_s), (4.0, 6.0));
        assert_eq!(table.set("inner", &Value::Integer(4)), Err(SetError::Unknown));
        assert_eq!(table.set("inner.time", &Value::Integer(4)), Err(SetError::Unknown));
        assert!(matches!(table.set("count", &Value::String("x".into())), Err(SetError::Value(_))));
        assert!(matches!(table.set("count", &Value::Integer(-1)), Err(SetError::Value(_))));
    }

    #[test]
    fn a_number_outside_of_its_bound_is_found() {
        let outside = |table: &Outer| keys(table).into_iter().find_map(|(path, _, outside)| Some((path, outside?)));
        assert_eq!(outside(&Outer::default()), None);
        assert_eq!(outside(&Outer { count: 12, ..Outer::default() }), Some(("t.count".into(), 12.0)));
        assert_eq!(outside(&Outer { three: [1.0, -2.0, 3.0], ..Outer::default() }), Some(("t.three".into(), -2.0)));
    }
}
