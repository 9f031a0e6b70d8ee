//! How the configuration names a claim of a token (contract section 3, "Claims").

use std::fmt;

/// Names a claim: the member with exactly that name, else a path into nested objects.
///
/// A string is both: `realm_access.roles` is the member of that name, or `roles` in `realm_access`. A list is only a path,
/// and can express what a string cannot: `["https://idp.example/claims", roles]`. In the log, and wherever else a claim is
/// a string, it is written as a JSON array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimName {
    text: String,
    is_exact: bool,
    way: Vec<String>,
}

impl ClaimName {
    /// The path through these members.
    #[must_use]
    pub fn of_segments(segments: Vec<String>) -> Self {
        match segments.as_slice() {
            [only] if !only.contains('.') => Self::from(only.as_str()),
            _ => {
                let text = serde_json::Value::from(segments.clone()).to_string();
                Self { text, is_exact: false, way: segments }
            }
        }
    }

    /// Its written form, which reads back as the same name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The member of the claims set that it names exactly, if any.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        self.is_exact.then_some(&self.text)
    }

    /// The path into nested objects, outermost first; empty if there is none.
    #[must_use]
    pub fn way(&self) -> &[String] {
        &self.way
    }
}

impl From<&str> for ClaimName {
    fn from(text: &str) -> Self {
        if text.starts_with('[')
            && let Ok(segments) = serde_json::from_str::<Vec<String>>(text)
            && !segments.is_empty()
        {
            return Self { text: text.to_owned(), is_exact: false, way: segments };
        }
        let way = if text.contains('.') { text.split('.').map(str::to_owned).collect() } else { Vec::new() };
        Self { text: text.to_owned(), is_exact: true, way }
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(of: &[&str]) -> Vec<String> {
        of.iter().map(|segment| (*segment).to_owned()).collect()
    }

    #[test]
    fn a_text_is_a_name_and_a_way_and_a_list_is_a_way_only() {
        let plain = ClaimName::from("roles");
        assert_eq!((plain.exact(), plain.way()), (Some("roles"), &[][..]));
        let dotted = ClaimName::from("resource.api.roles");
        assert_eq!(
            (dotted.exact(), dotted.way()),
            (Some("resource.api.roles"), &segments(&["resource", "api", "roles"])[..])
        );
        let list = ClaimName::of_segments(segments(&["urn:a.b", "roles"]));
        assert_eq!((list.exact(), list.way()), (None, &segments(&["urn:a.b", "roles"])[..]));
        let only = ClaimName::of_segments(segments(&["a.b"]));
        assert_eq!((only.exact(), only.way()), (None, &segments(&["a.b"])[..]));
        assert_eq!(ClaimName::of_segments(segments(&["sub"])), ClaimName::from("sub"));
    }

    #[test]
    fn what_is_written_reads_back() {
        for name in [
            ClaimName::from("sub"),
            ClaimName::from("a.b"),
            ClaimName::from("[a]"),
            ClaimName::of_segments(segments(&["x\"y", "z.z"])),
            ClaimName::of_segments(segments(&["a.b"])),
        ] {
            assert_eq!(ClaimName::from(name.as_str()), name, "{name}");
        }
    }
}
