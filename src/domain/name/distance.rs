//! How far two spellings are apart, to suggest what was meant.

/// Levenshtein distance of two short texts; more than any real one if their lengths differ by more than two bytes.
#[must_use]
pub fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX / 4;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, a) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.chars()) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_that_differs_counts() {
        assert_eq!(distance("issuers", "isuers"), 1);
        assert_eq!(distance("drain", "drane"), 2);
        assert_eq!(distance("a", "a"), 0);
    }
}
