//! The graph of `needs`: cycles, depths, order. Knows nothing of jobs beyond their ids and needs.

/// The jobs that each job needs, by index.
pub(super) type Needs = Vec<Vec<usize>>;

/// The depth of each job: 0 needs nothing, else one more than the deepest it needs. `Err`: the jobs of a cycle in
/// order, the first of them not repeated.
pub(super) fn stages(needs: &Needs) -> Result<Vec<u32>, Vec<usize>> {
    let mut stages: Vec<Option<u32>> = vec![None; needs.len()];
    for start in 0..needs.len() {
        // A walk with its own stack: a chain of needs may be as long as there are jobs.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((job, next)) = path.last().copied() {
            let Some(&needed) = needs[job].get(next).filter(|_| stages[job].is_none()) else {
                let depth = needs[job].iter().filter_map(|needed| stages[*needed]).map(|depth| depth + 1).max();
                stages[job] = Some(depth.unwrap_or(0));
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            if let Some(at) = path.iter().position(|(on_path, _)| *on_path == needed) {
                return Err(path[at..].iter().map(|(on_path, _)| *on_path).collect());
            }
            path.push((needed, 0));
        }
    }
    Ok(stages.into_iter().map(Option::unwrap_or_default).collect())
}

#[cfg(test)]
mod tests {
    use super::stages;

    #[test]
    fn depths_and_cycles() {
        assert_eq!(stages(&vec![]), Ok(vec![]));
        assert_eq!(stages(&vec![vec![], vec![0], vec![0, 1], vec![]]), Ok(vec![0, 1, 2, 0]));
        assert_eq!(stages(&vec![vec![2], vec![], vec![1]]), Ok(vec![2, 0, 1]));
        assert_eq!(stages(&vec![vec![0]]), Err(vec![0]));
        assert_eq!(stages(&vec![vec![1], vec![2], vec![3], vec![1]]), Err(vec![1, 2, 3]));
        let chain: Vec<Vec<usize>> = (0..500).map(|job| if job == 499 { vec![] } else { vec![job + 1] }).collect();
        assert_eq!(stages(&chain).map(|stages| stages[0]), Ok(499));
    }
}
