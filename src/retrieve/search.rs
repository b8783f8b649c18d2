//! Exact top-k over the global descriptors.

use super::index::{CellId, DenseLevel};

/// A cell and its cosine similarity to a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The cell.
    pub cell: CellId,
    /// Cosine similarity, −1..1.
    pub similarity: f32,
    /// Which of the queries it is most similar to, the first of equals.
    pub query: usize,
}

/// The `k` cells most similar to any of the queries (each of unit length), best first, among the cells that `allowed` lets pass.
/// A cell counts with its best query. Equal similarities are ordered by cell, so that the result is the same everywhere.
pub fn top_k(level: &DenseLevel, queries: &[Vec<f32>], k: usize, allowed: impl FnMut(CellId) -> bool) -> Vec<Ranked> {
    let best = |cell: CellId, similarities: &[f32]| {
        let none = (0, f32::NEG_INFINITY);
        let (query, similarity) =
            similarities.iter().copied().enumerate().fold(none, |best, next| if next.1 > best.1 { next } else { best });
        vec![Ranked { cell, similarity, query }]
    };
    ranked(level, queries, k, allowed, best)
}

/// The `k` most similar pairs of a cell and a query, best first; see [`top_k`]. Equal similarities are ordered by cell, then query.
pub fn top_pairs(level: &DenseLevel, queries: &[Vec<f32>], k: usize, allowed: impl FnMut(CellId) -> bool) -> Vec<Ranked> {
    let all = |cell: CellId, similarities: &[f32]| {
        similarities.iter().enumerate().map(|(query, similarity)| Ranked { cell, similarity: *similarity, query }).collect()
    };
    ranked(level, queries, k, allowed, all)
}

fn ranked(
    level: &DenseLevel,
    queries: &[Vec<f32>],
    k: usize,
    mut allowed: impl FnMut(CellId) -> bool,
    of_cell: impl Fn(CellId, &[f32]) -> Vec<Ranked>,
) -> Vec<Ranked> {
    let cells = level.cells.iter().zip(level.global.chunks_exact(level.global_length().max(1)));
    let mut ranked: Vec<Ranked> = cells
        .filter(|(cell, _)| allowed(**cell))
        .flat_map(|(cell, descriptor)| {
            let similarities = queries.iter().map(|q| q.iter().zip(descriptor).map(|(a, b)| a * b).sum::<f32>());
            of_cell(*cell, &similarities.collect::<Vec<f32>>())
        })
        .collect();
    ranked.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.cell.cmp(&b.cell)).then(a.query.cmp(&b.query)));
    ranked.truncate(k);
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieve::index::LevelModel;
    use crate::retrieve::projection::Projection;

    fn level() -> DenseLevel {
        let projection = Projection { channels: 2, components: 2, mean: vec![0.0; 2], basis: vec![1.0, 0.0, 0.0, 1.0] };
        let cell = |column| CellId { region: 0, level: 1, row: 0, column };
        DenseLevel {
            level: 1,
            model: LevelModel { projection, centres: vec![1.0, 0.0] },
            regions: vec![None],
            cells: (0..4).map(cell).collect(),
            global: vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0, 0.6, 0.8],
        }
    }

    #[test]
    fn best_first_and_ties_by_cell() {
        let found = top_k(&level(), &[vec![0.0, 1.0]], 3, |_| true);
        assert_eq!(found.iter().map(|r| r.cell.column).collect::<Vec<_>>(), [2, 1, 3]);
    }

    #[test]
    fn a_cell_counts_with_its_best_query() {
        let found = top_k(&level(), &[vec![1.0, 0.0], vec![0.0, 1.0]], 4, |_| true);
        assert_eq!(found.iter().map(|r| (r.cell.column, r.query)).collect::<Vec<_>>(), [(0, 0), (2, 1), (1, 1), (3, 1)]);
    }

    #[test]
    fn a_cell_may_come_in_several_pairs() {
        let found = top_pairs(&level(), &[vec![1.0, 0.0], vec![0.6, 0.8]], 5, |_| true);
        let pairs: Vec<_> = found.iter().map(|r| (r.cell.column, r.query)).collect();
        assert_eq!(pairs, [(0, 0), (1, 1), (3, 1), (2, 1), (0, 1)]);
    }

    #[test]
    fn only_allowed_cells_are_searched() {
        let found = top_k(&level(), &[vec![0.0, 1.0]], 3, |c| c.column == 0);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cell.column, 0);
    }
}
