//! How people name the peers that shall keep copies: by name, by id, or by a pattern of names.

use crate::{name::PeerName, peer_id::PeerId};

/// How a peer is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// By its id.
    Id(PeerId),
    /// By its name.
    Name(String),
    /// By a pattern of its name.
    Glob(Vec<char>),
}

impl Pattern {
    /// What the text means: a pattern when it has `*` or `?`, an id when it is one, else a name.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if text.contains(['*', '?']) {
            return Self::Glob(text.chars().collect());
        }
        text.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }

    /// Whether the peer is meant.
    #[must_use]
    pub fn fits(&self, peer: &PeerId, name: &PeerName) -> bool {
        matches!(self, Self::Id(id) if id == peer) || self.fits_name(name)
    }

    /// Whether a peer of this name is meant.
    #[must_use]
    pub fn fits_name(&self, name: &PeerName) -> bool {
        match self {
            // A name may look like an id.
            Self::Id(id) => id.to_string() == name.as_str(),
            Self::Name(text) => text == name.as_str(),
            Self::Glob(pattern) => {
                let name: Vec<char> = name.as_str().chars().collect();
                glob_fits(pattern, &name)
            }
        }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) => name.clone(),
            Self::Glob(pattern) => pattern.iter().collect(),
        }
    }
}

/// Whether the pattern fits all of the text: `*` any run, `?` any one. Takes at most the product of both lengths.
fn glob_fits(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star is, and where the text goes on after what it took.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        let fits = |pattern: &str, text: &str| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            glob_fits(&chars(pattern), &chars(text))
        };
        for (pattern, text) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("*a", "ba"),
            ("a*b*c", "axxbyybc"),
            ("?", "a"),
            ("a?c", "abc"),
            ("**a**", "a"),
            ("*ab", "aab"),
            ("*?", "a"),
        ] {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a*", "ba"),
            ("?", ""),
            ("?", "ab"),
            ("a*b", "a"),
            ("*a", "ab"),
            ("", "a"),
            ("*?", ""),
        ] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
        // What a stupid matcher takes for ever on.
        assert!(!fits(&format!("{}b", "a*".repeat(60)), &"a".repeat(63)));
    }
}
