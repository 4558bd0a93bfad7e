//! The version to which a roll-back returns.

use banter_stores::catalog::{Activation, ActivationReason};

/// The version that all users had before the current one, never one that was left by a roll-back. `history` is newest
/// first. `None` if there is no earlier version.
pub fn before(history: &[Activation]) -> Option<String> {
    let mut stack: Vec<&str> = Vec::new();
    for activation in history.iter().rev() {
        let version = activation.version.as_str();
        match stack
            .iter()
            .position(|earlier| *earlier == version)
            .filter(|_| activation.reason == ActivationReason::Rollback)
        {
            Some(place) => stack.truncate(place + 1),
            None if stack.last() != Some(&version) => stack.push(version),
            None => {}
        }
    }
    stack.pop()?;
    stack.pop().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(history: &str, expected: Option<&str>) {
        let mut activations: Vec<Activation> = history
            .split_whitespace()
            .zip(1..)
            .map(|(word, generation)| {
                let (reason, version) = word
                    .strip_prefix('<')
                    .map_or((ActivationReason::Publish, word), |back| (ActivationReason::Rollback, back));
                let version = version.to_owned();
                Activation { generation, version, canary: None, at: 0, by: String::new(), reason }
            })
            .collect();
        activations.reverse();
        assert_eq!(before(&activations).as_deref(), expected, "{history}");
    }

    #[test]
    fn going_back_never_returns_to_what_was_left() {
        check("a", None);
        check("a b", Some("a"));
        check("a b c <b", Some("a"));
        check("a b c <b <a", None);
        check("a b <a c", Some("a"));
        check("a b a", Some("b"));
        check("a a b b", Some("a"));
    }
}
