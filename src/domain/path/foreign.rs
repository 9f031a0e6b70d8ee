//! Path patterns of other languages. Here they are literal text, and would not match what they were meant for.

/// The part of a pattern that looks like another pattern language, and which one.
///
/// Only unescaped characters count: `%7Bid%7D` is meant as a segment in braces. `[id]` alone is a name that file-based
/// routers use (`/v1/[id]/page`), `Orders(5)` and `$batch` are OData, `7:cancel` is a custom method.
#[must_use]
pub fn looks_like(pattern: &str) -> Option<(&str, &'static str)> {
    pattern.split('/').find_map(|segment| Some((segment, language(segment)?)))
}

fn language(segment: &str) -> Option<&'static str> {
    let between = |open: char, close: char| {
        let (_, rest) = segment.split_once(open)?;
        rest.split_once(close)
    };
    let is_name = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if between('{', '}').is_some() {
        return Some("a URI template (`{name}`)");
    }
    if segment.strip_prefix(':').is_some_and(is_name) {
        return Some("a route parameter (`:name`)");
    }
    if between('<', '>').is_some_and(|(inner, _)| is_name(inner)) {
        return Some("a route parameter (`<name>`)");
    }
    if between('[', ']').is_some_and(|(inner, _)| inner.starts_with("...")) {
        return Some("a route parameter (`[...name]`)");
    }
    let class = between('[', ']')
        .is_some_and(|(inner, after)| inner.starts_with('^') || has_range(inner) || after.starts_with(['+', '{']));
    let group = between('(', ')').is_some_and(|(inner, after)| inner.contains('|') || after.starts_with('+'));
    let escape = segment.split('\\').skip(1).any(|after| after.starts_with(['d', 'D', 'w', 'W', 's', 'S', 'b', '.']));
    let anchor = segment.starts_with('^') || segment.len() > 1 && segment.ends_with('$');
    (class || group || escape || anchor || segment.contains(".+")).then_some("a regular expression")
}

/// `a-z`
fn has_range(class: &str) -> bool {
    class.as_bytes().windows(3).any(|window| match window {
        [low, b'-', high] => {
            low < high && low.is_ascii_alphanumeric() && high.is_ascii_alphanumeric() && {
                let kinds = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase];
                kinds.iter().any(|is_kind: &fn(&u8) -> bool| is_kind(low) && is_kind(high))
            }
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_are_told_from_names() {
        for (pattern, segment) in [
            ("/v2/{order}/lines", "{order}"),
            ("/v2/{name=shelves}/x", "{name=shelves}"),
            ("/users/:user_id", ":user_id"),
            ("/users/<int:user>", "<int:user>"),
            ("/docs/[...slug]", "[...slug]"),
            ("/v2/[a-f0-9]{32}", "[a-f0-9]{32}"),
            ("/v2/[^x]", "[^x]"),
            ("/v2/[xyz]+/a", "[xyz]+"),
            ("/v2/\\d{4}", "\\d{4}"),
            ("/v2/x\\.json", "x\\.json"),
            ("/v2/(blue|green)", "(blue|green)"),
            ("/v2/.+", ".+"),
            ("/^v2", "^v2"),
            ("/v2/orders$", "orders$"),
        ] {
            assert_eq!(looks_like(pattern).map(|(segment, _)| segment), Some(segment), "{pattern}");
        }
        for pattern in [
            "/v1/[id]/page",
            "/odata/Orders(5)/$batch",
            "/v1/orders/7:cancel",
            "/%7Bid%7D",
            "/a b/\u{f8}",
            "/**/a.b+c/*",
            "/x-[2-alpha]",
            "/$",
            "/a:b",
            "/pkg.Service/Method",
            "/a;b=(c)",
            "/v1/[2024-01]",
        ] {
            assert_eq!(looks_like(pattern), None, "{pattern}");
        }
    }
}
