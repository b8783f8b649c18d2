//! A small cache that forgets what was used longest ago, bounded by a weight (bytes, or a count).

use std::collections::HashMap;
use std::hash::Hash;

/// Least-recently-used cache. Looking for the oldest entry is linear, which is nothing beside decoding what it holds.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: HashMap<K, (V, usize, u64)>,
    weight: usize,
    limit: usize,
    clock: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Lru<K, V> {
    /// A cache that holds entries of at most `limit` together; a single heavier one is still kept, alone.
    pub fn new(limit: usize) -> Self {
        Self { entries: HashMap::new(), weight: 0, limit, clock: 0 }
    }

    /// The entry of a key, which thereby becomes the youngest.
    pub fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let clock = self.clock;
        self.entries.get_mut(key).map(|entry| {
            entry.2 = clock;
            entry.0.clone()
        })
    }

    /// Adds an entry, forgetting old ones where there is no room.
    pub fn put(&mut self, key: K, value: V, weight: usize) {
        self.clock += 1;
        if let Some(old) = self.entries.remove(&key) {
            self.weight -= old.1;
        }
        while self.weight + weight > self.limit {
            let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.2).map(|(key, _)| key.clone()) else { break };
            if let Some(old) = self.entries.remove(&oldest) {
                self.weight -= old.1;
            }
        }
        self.weight += weight;
        self.entries.insert(key, (value, weight, self.clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_entry_goes_first() {
        let mut cache = Lru::new(2);
        cache.put("a", 1, 1);
        cache.put("b", 2, 1);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.put("c", 3, 1);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(1), None, Some(3)));
    }

    #[test]
    fn an_entry_heavier_than_the_cache_is_kept_alone() {
        let mut cache = Lru::new(2);
        cache.put("a", 1, 1);
        cache.put("big", 2, 9);
        assert_eq!((cache.get(&"a"), cache.get(&"big")), (None, Some(2)));
    }
}
